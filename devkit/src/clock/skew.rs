//! The wall clock of a child, off by some seconds.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::private_folder;

/// What is loaded into the child.
const SOURCE: &str = include_str!("skew.c");

/// Makes the clock of children wrong. Their monotonic clocks stay right.
#[derive(Debug)]
pub struct Skew {
    folder: TempDir,
}

impl Skew {
    /// Compiles what is loaded into the children, with the C compiler that
    /// Rust links with.
    pub fn new() -> Result<Self> {
        let folder = private_folder("skew")?;
        let source = folder.path().join("skew.c");
        std::fs::write(&source, SOURCE).context("cannot write the clock's source")?;
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([folder.path().join("skew.so"), source])
            .output()
            .context("cannot start `cc`")?;
        ensure!(
            output.status.success(),
            "the clock was not compiled:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::write(folder.path().join("jump"), 0_i64.to_ne_bytes())
            .context("cannot write the clock's file")?;
        Ok(Self { folder })
    }

    /// The child's clock is ahead by so many seconds, or behind.
    pub fn apply(&self, command: &mut Command, seconds: i64) {
        command.envs(self.environment(seconds));
    }

    /// The same as variables for the child's environment.
    pub fn environment(&self, seconds: i64) -> [(&'static str, String); 3] {
        let loaded = self.folder.path().join("skew.so");
        [
            ("LD_PRELOAD", loaded.display().to_string()),
            ("COFFERDAM_CLOCK_SKEW", seconds.to_string()),
            ("COFFERDAM_CLOCK_JUMP", self.jumps().display().to_string()),
        ]
    }

    /// From now on the clocks of all children, those that run too, are off by so many
    /// seconds more than they began with.
    pub fn jump(&self, seconds: i64) -> Result<()> {
        // In place and at once: the children have it in their memory.
        let file = OpenOptions::new().write(true).open(self.jumps())?;
        file.write_all_at(&seconds.to_ne_bytes(), 0)
            .context("the clock does not jump")
    }

    fn jumps(&self) -> PathBuf {
        self.folder.path().join("jump")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_child_has_another_time() {
        let skew = Skew::new().unwrap();
        for seconds in [0, 7_200, -7_200] {
            let mut date = Command::new("date");
            skew.apply(date.arg("+%s"), seconds);
            let output = date.output().unwrap();
            let theirs: i64 = String::from_utf8(output.stdout)
                .unwrap()
                .trim()
                .parse()
                .unwrap();
            let ours = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs();
            let ours = i64::try_from(ours).unwrap();
            assert!(
                (theirs - ours - seconds).abs() <= 2,
                "{seconds}: {theirs} and {ours}"
            );
        }
    }
}
