//! Runs the interpreter that reads the syntax of DAG files.
//!
//! It gets our script on its standard input and prints what it finds, one line a
//! file. `-I` and `-S` keep it from the environment, the folder it is started in and
//! whatever is installed: it has Python's own modules and nothing else.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::error::DagsError;
use super::facts::{FileFacts, Trouble};
use crate::config::strict::one_line;
use crate::config::value::bounded;

/// The script.
const SCRIPT: &str = include_str!("../dags.py");

/// How long all files may take.
pub(super) const TIME: Duration = Duration::from_secs(60);

/// Most bytes of facts, of all files.
pub(super) const MAX_FACTS: u64 = 64 << 20;

/// Reads what the files say. As many facts as files, in their order.
///
/// # Errors
/// [`DagsError`] when there is no Python that can do it, or it takes too long.
pub(super) fn read(program: &Path, files: &[PathBuf]) -> Result<Vec<FileFacts>, DagsError> {
    let deadline = Instant::now() + TIME;
    let mut facts = Vec::with_capacity(files.len());
    let mut left = MAX_FACTS;
    while let Some(rest) = files.get(facts.len()..).filter(|rest| !rest.is_empty()) {
        let known = facts.len();
        let died = Interpreter::start(program, rest)?.read(deadline, &mut left, &mut facts)?;
        if facts.len() == files.len() {
            break;
        }
        match died.signal() {
            // A file that ends an interpreter ends no other file.
            Some(signal) => facts.push(FileFacts::Unread(Trouble::new(format!(
                "ends the interpreter that reads it, with signal {signal}"
            )))),
            None if facts.len() > known && !died.success() => {
                facts.push(FileFacts::Unread(Trouble::new(
                    "ends the interpreter that reads it",
                )));
            }
            None => return Err(unable(program, "it ended before the last of them")),
        }
    }
    Ok(facts)
}

fn unable(program: &Path, why: impl Into<String>) -> DagsError {
    DagsError::Python {
        program: program.to_owned(),
        why: why.into(),
    }
}

/// One process.
struct Interpreter<'a> {
    program: &'a Path,
    child: Child,
    lines: Receiver<Result<Vec<u8>, ()>>,
    said: thread::JoinHandle<String>,
}

impl<'a> Interpreter<'a> {
    fn start(program: &'a Path, files: &[PathBuf]) -> Result<Self, DagsError> {
        let no_python = |source| DagsError::NoPython {
            program: program.to_owned(),
            source,
        };
        let mut child = Command::new(program)
            .args(["-I", "-S", "-B", "-W", "ignore", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(no_python)?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(unable(program, "it has no pipes"));
        };
        let script = script(files);
        // It reads all of the script before it prints anything, unless it is no Python;
        // what it then says tells more than a broken pipe.
        thread::spawn(move || stdin.write_all(script.as_bytes()));
        let said = thread::spawn(move || {
            let mut text = String::new();
            let mut reader = BufReader::new(stderr);
            let _ = reader.by_ref().take(4096).read_to_string(&mut text);
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
            text
        });
        Ok(Self {
            program,
            child,
            lines: lines(stdout),
            said,
        })
    }

    /// Reads its lines until it ends, and how it ended.
    fn read(
        mut self,
        deadline: Instant,
        left: &mut u64,
        facts: &mut Vec<FileFacts>,
    ) -> Result<ExitStatus, DagsError> {
        let read = self.read_lines(deadline, left, facts);
        if read.is_err() {
            let _ = self.child.kill();
        }
        let status = self.child.wait();
        read?;
        let status = status.map_err(|error| unable(self.program, error.to_string()))?;
        let said = self.said.join().unwrap_or_default();
        if !status.success() && status.signal().is_none() && facts.is_empty() {
            // The last line of what Python says is what is wrong.
            let last = said.lines().rev().find(|line| !line.trim().is_empty());
            let why = last.map_or_else(|| status.to_string(), |line| bounded(&one_line(line)));
            return Err(unable(self.program, why));
        }
        Ok(status)
    }

    fn read_lines(
        &self,
        deadline: Instant,
        left: &mut u64,
        facts: &mut Vec<FileFacts>,
    ) -> Result<(), DagsError> {
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(wait) {
                Ok(Ok(line)) => line,
                Ok(Err(())) => return Err(DagsError::TooMuch),
                Err(RecvTimeoutError::Timeout) => return Err(DagsError::Slow),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            *left = left
                .checked_sub(line.len() as u64)
                .ok_or(DagsError::TooMuch)?;
            if line.last() != Some(&b'\n') {
                // It died in the middle of it.
                return Ok(());
            }
            let fact = serde_json::from_slice(&line)
                .map_err(|_| unable(self.program, "it answered something else"))?;
            facts.push(fact);
        }
    }
}

/// The script with the call that hands the paths over: in hex, since a path may hold
/// any byte.
fn script(files: &[PathBuf]) -> String {
    let paths: Vec<&[u8]> = files
        .iter()
        .map(|file| file.as_os_str().as_bytes())
        .collect();
    let paths = hex::encode(paths.join(&0));
    format!("{SCRIPT}\n\nbegin(bytes.fromhex(\"{paths}\"))\n")
}

/// What it prints, line by line; an error for one that is too long.
fn lines(stdout: ChildStdout) -> Receiver<Result<Vec<u8>, ()>> {
    let (sender, receiver) = sync_channel(16);
    thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        loop {
            let mut line = Vec::new();
            match reader
                .by_ref()
                .take(MAX_FACTS + 1)
                .read_until(b'\n', &mut line)
            {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let told = match line.len() as u64 > MAX_FACTS {
                true => Err(()),
                false => Ok(line),
            };
            if sender.send(told).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use insta::assert_snapshot;

    use super::*;
    use crate::diagnostic::Diagnostic;

    fn python(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("python");
        fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o700)).unwrap();
        (folder, program)
    }

    fn refused(text: &str) -> String {
        let (folder, program) = python(text);
        let error = read(&program, &["a.py".into()]).unwrap_err();
        let hint = error.hint().unwrap();
        format!("{error}\n{hint}").replace(folder.path().to_str().unwrap(), "…")
    }

    #[test]
    fn a_python_that_cannot_do_it_is_told() {
        let error = read(Path::new("no-such-python"), &["a.py".into()]).unwrap_err();
        assert_snapshot!(error, @"cannot start `no-such-python`, which reads the syntax of DAG files");
        assert_snapshot!(refused("echo 'Python 3.8 or later is needed' >&2; exit 1"), @r"
        `…/python` did not read the DAG files: Python 3.8 or later is needed
        name a Python of version 3.8 or later with `--python PROGRAM`
        ");
        assert_snapshot!(refused("exit 3"), @r"
        `…/python` did not read the DAG files: exit status: 3
        name a Python of version 3.8 or later with `--python PROGRAM`
        ");
        assert_snapshot!(refused("cat > /dev/null"), @r"
        `…/python` did not read the DAG files: it ended before the last of them
        name a Python of version 3.8 or later with `--python PROGRAM`
        ");
        assert_snapshot!(refused("echo hello"), @r"
        `…/python` did not read the DAG files: it answered something else
        name a Python of version 3.8 or later with `--python PROGRAM`
        ");
    }

    #[test]
    fn a_file_that_kills_the_interpreter_ends_no_other_file() {
        // The first process answers for one file and dies on the second.
        let (_folder, program) = python(
            "cat > /dev/null\nmark=\"$(dirname \"$0\")/mark\"\n\
             echo '{\"unread\":{\"line\":1,\"message\":\"m\"}}'\n\
             test -e \"$mark\" || { touch \"$mark\"; kill -SEGV $$; }",
        );
        let files = ["a.py".into(), "b.py".into(), "c.py".into()];
        let facts = read(&program, &files).unwrap();
        let told: Vec<_> = facts
            .into_iter()
            .map(|facts| match facts {
                FileFacts::Unread(trouble) => trouble.message,
                FileFacts::Read(_) => panic!(),
            })
            .collect();
        assert_eq!(
            told,
            [
                "m",
                "ends the interpreter that reads it, with signal 11",
                "m"
            ]
        );
    }
}
