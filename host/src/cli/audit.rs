//! `cofferdam audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Failure, Format, Globals, Output};
use crate::audit::{self, ChainReport, ChainStart, Shown};
use crate::config::{ConfigError, HostConfig};
use crate::diagnostic::Exit;
use crate::digest::Digest;
use crate::scrub::escape_control;

/// Check or show the audit.
#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Verify(VerifyArgs),
    Show(ShowArgs),
}

/// Find lines that were changed, taken out, moved or put in, and with a head a
/// cut end. Exits with 0 when all is well, 1 with findings, 2 when a file cannot
/// be read.
#[derive(Debug, Args)]
struct VerifyArgs {
    /// A file, or a folder with all its files; by default the audit folder.
    path: Option<PathBuf>,
    /// The head hash that a run's report gave: the chain has to reach it.
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
}

/// Show the audit of one run, or everything. Shows lines as they stand: whether
/// they are genuine, `verify` says.
#[derive(Debug, Args)]
struct ShowArgs {
    /// The run, as its report names it; by default every run.
    run: Option<String>,
    /// Look into this file.
    #[arg(long, conflicts_with = "folder")]
    file: Option<PathBuf>,
    /// Look into all files of this folder; by default the audit folder.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Executes the command.
pub(super) async fn execute(
    args: AuditArgs,
    globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    match args.command {
        AuditCommand::Verify(args) => verify(&args, globals, output),
        AuditCommand::Show(args) => show(&args, globals, output),
    }
}

/// The audit folder of the configuration.
fn default_folder(globals: &Globals) -> Result<PathBuf, ConfigError> {
    Ok(HostConfig::load(&globals.config)?.audit)
}

/// One file, for machines.
#[derive(Serialize)]
struct FileReport {
    file: String,
    status: &'static str,
    /// The chain that this one names as the one before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Previous>,
    #[serde(flatten)]
    chain: ChainReport,
}

#[derive(Serialize)]
struct Previous {
    chain: String,
    /// Whether its file was checked too.
    checked: bool,
}

#[derive(Serialize)]
struct VerifyReport {
    ok: bool,
    files: Vec<FileReport>,
}

fn verify(args: &VerifyArgs, globals: &Globals, output: &Output) -> Result<Exit, Failure> {
    let head = args.head.as_deref().map(audit::parse_head).transpose()?;
    let path = match &args.path {
        Some(path) => path.clone(),
        None => default_folder(globals)?,
    };
    let mut starts = Vec::new();
    for file in audit::chain_files(&path)? {
        starts.push((audit::chain_start(&file)?, file));
    }
    let known: Vec<_> = starts
        .iter()
        .filter_map(|(start, _)| start.clone())
        .collect();
    let mut files = Vec::new();
    for (start, file) in starts {
        let id = start.as_ref().map(|start| start.chain.as_str());
        let links = known.iter().filter_map(|later| later.previous.as_ref());
        let links: Vec<_> = links
            .filter(|link| Some(link.chain.as_str()) == id)
            .collect();
        let chain = audit::verify(&file, head.as_ref(), &links)?;
        files.push((chain, previous(start, &known), file));
    }
    // The head may stand in any file of a folder.
    if head.is_some()
        && files.iter().all(|(chain, ..)| chain.anchor.is_none())
        && let Some((last, ..)) = files.last_mut()
    {
        last.head_not_found();
    }
    let ok = files.iter().all(|(chain, ..)| chain.is_consistent());
    let report = VerifyReport {
        ok,
        files: files
            .into_iter()
            .map(|(chain, previous, file)| FileReport {
                file: file.display().to_string(),
                status: status(&chain),
                previous,
                chain,
            })
            .collect(),
    };
    match output.format() {
        Format::Json => output.json(&report),
        Format::Text => {
            for file in &report.files {
                describe(file, head.as_ref(), output);
            }
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

/// The chain before this one, and whether it is among those that are checked.
fn previous(start: Option<ChainStart>, known: &[ChainStart]) -> Option<Previous> {
    let link = start?.previous?;
    Some(Previous {
        checked: known.iter().any(|start| start.chain == link.chain),
        chain: link.chain,
    })
}

fn status(chain: &ChainReport) -> &'static str {
    match (chain.is_consistent(), chain.anchor) {
        (false, _) => "broken",
        (true, None) => "consistent",
        (true, Some(anchor)) if anchor.line == chain.lines => "anchored",
        (true, Some(_)) => "anchored_in_part",
    }
}

fn describe(report: &FileReport, head: Option<&Digest>, output: &Output) {
    let FileReport { chain, .. } = report;
    let file = escape_control(&report.file);
    for finding in &chain.findings {
        let seq = finding
            .seq
            .map_or_else(String::new, |seq| format!(" (seq {seq})"));
        output.data(format_args!(
            "{file}:{}{seq}: {}: {}",
            finding.line, finding.kind, finding.message
        ));
    }
    let more = chain.findings_total - chain.findings.len() as u64;
    if more > 0 {
        output.data(format_args!("{file}: {more} more findings"));
    }
    let verdict = match (chain.is_consistent(), chain.anchor) {
        (false, Some(anchor)) => {
            format!("NOT CONSISTENT; the head stands in line {}", anchor.line)
        }
        (false, None) => "NOT CONSISTENT".to_owned(),
        (true, Some(anchor)) if anchor.line == chain.lines => {
            "consistent, anchored to its end".to_owned()
        }
        (true, Some(anchor)) => format!(
            "consistent, anchored up to line {} (the lines after it are not)",
            anchor.line
        ),
        (true, None) if head.is_some() => "consistent, but the head is not in it".to_owned(),
        (true, None) => "consistent, end not anchored".to_owned(),
    };
    output.data(format_args!("{file}: {} lines, {verdict}", chain.lines));
    if let Some(Previous {
        chain,
        checked: false,
    }) = &report.previous
    {
        output.note(format_args!(
            "{file}: goes on after the chain {}, which is not here",
            escape_control(chain)
        ));
    }
    if head.is_none()
        && chain.is_consistent()
        && let Some(head) = chain.head
    {
        output.note(format_args!("{file}: head {head}"));
    }
}

fn show(args: &ShowArgs, globals: &Globals, output: &Output) -> Result<Exit, Failure> {
    let path = match args.file.as_ref().or(args.folder.as_ref()) {
        Some(path) => path.clone(),
        None => default_folder(globals)?,
    };
    let json = output.format() == Format::Json;
    let (mut shown, mut unreadable) = (0, false);
    for file in audit::chain_files(&path)? {
        let name = escape_control(&file.display().to_string());
        shown += audit::show(&file, args.run.as_deref(), json, &mut |line| match line {
            Shown::Text(text) => output.data(text),
            Shown::Json(text) => output.data(text),
            Shown::Unreadable(number) => {
                unreadable = true;
                output.note(format_args!("{name}:{number}: this is not an audit line"));
            }
        })?;
    }
    if shown == 0
        && let Some(run) = &args.run
    {
        output.note(format_args!(
            "no line of run `{}` in `{}`",
            escape_control(run),
            escape_control(&path.display().to_string())
        ));
    }
    Ok(if unreadable || (shown == 0 && args.run.is_some()) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditLog, Event};
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct TestCli {
        #[command(flatten)]
        globals: Globals,
        #[command(flatten)]
        audit: AuditArgs,
    }

    /// The exit code of `cofferdam audit …`.
    async fn exit(args: &[&str]) -> u8 {
        let cli = TestCli::try_parse_from([&["audit"], args].concat()).unwrap();
        let output = Output::new(cli.globals.format, cli.globals.log_format);
        execute(cli.audit, &cli.globals, &output)
            .await
            .unwrap_or_else(|failure| output.failure(&failure))
            .code()
    }

    #[tokio::test]
    async fn exit_codes_tell_findings_from_unreadable_files() {
        let folder = tempfile::tempdir().unwrap();
        let audit = folder.path().join("audit");
        let log = AuditLog::create(&audit).unwrap();
        let recorder = log.recorder("run-1");
        recorder
            .record(&Event::RunEnded {
                outcome: "done",
                limits: &[],
                exit: 0,
                cancelled_by: None,
            })
            .unwrap();
        let head = recorder.seal().await.unwrap().head.to_string();
        let other = AuditLog::create(&audit).unwrap();
        let config = folder.path().join("cofferdam.toml");
        std::fs::write(&config, "[paths]\n").unwrap();
        let (config, path) = (config.to_str().unwrap(), log.path().to_str().unwrap());
        let cli = |args: &[&'static str]| [&["--config", config], args].concat();

        assert_eq!(exit(&cli(&["verify"])).await, 0);
        assert_eq!(exit(&["verify", "--head", &head, path]).await, 0);
        assert_eq!(
            exit(&["verify", "--head", &head[7..], "--format=json", path]).await,
            0
        );
        let other = other.path().to_str().unwrap();
        assert_eq!(
            exit(&["verify", "--head", &head, other]).await,
            1,
            "head elsewhere"
        );
        assert_eq!(exit(&["verify", "--head", "abc", path]).await, 2);
        assert_eq!(exit(&["verify", "no/such/file"]).await, 2);
        assert_eq!(
            exit(&["verify", &folder.path().display().to_string()]).await,
            2,
            "no chain"
        );
        assert_eq!(exit(&cli(&["show", "run-1"])).await, 0);
        assert_eq!(exit(&cli(&["show", "run-2"])).await, 1);
        assert_eq!(exit(&["show", "--file", path, "--format", "json"]).await, 0);

        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text.replace("\"done\"", "\"fail\"")).unwrap();
        assert_eq!(exit(&cli(&["verify"])).await, 1);
    }
}
