//! `audit verify` over one large chain on one thread, against a plain SHA-256 over
//! the same file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use cofferdam::audit::{AuditLog, AuditOptions, Decision, Event, OutcomeKind, verify};
use serde_json::json;

use super::{Effort, median};
use crate::baseline::Baseline;
use crate::report::Figure;

/// Runs in the chain; each has four lines of about 300 bytes.
const RUNS: usize = 80_000;

/// Nanoseconds of a second.
const SECOND: f64 = 1e9;

/// Bytes of a MB.
const MEGA: f64 = 1e6;

pub(crate) fn measure(effort: Effort) -> Result<Figure> {
    let folder = tempfile::tempdir()?;
    let log = AuditLog::create_with(folder.path(), AuditOptions { sync: false })?;
    write(&log)?;
    let size = log.path().metadata()?.len();
    let mut baseline = Baseline::start()?;
    let bare = json!({"op": "digest", "path": log.path(), "n": 1});
    check(log.path())?;
    baseline.batch(&bare)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds.min(10) {
        let start = Instant::now();
        check(log.path())?;
        ours.push(u64::try_from(start.elapsed().as_nanos())?);
        theirs.extend(baseline.batch(&bare)?);
    }
    let size = f64::from(u32::try_from(size).context("the chain is too long")?) / MEGA;
    let rate = |nanos| size / median(nanos, SECOND);
    let pair = (rate(ours), rate(theirs));
    Ok(Figure::at_least(
        "verify: one chain, one thread",
        "MB/s",
        pair,
        200.0,
    ))
}

fn check(path: &Path) -> Result<()> {
    let report = verify(path, None, &[])?;
    ensure!(report.is_consistent(), "not consistent: {report:?}");
    ensure!(report.lines > RUNS as u64, "{} lines", report.lines);
    Ok(())
}

/// What attempts with one call write.
fn write(log: &AuditLog) -> Result<()> {
    for run in 0..RUNS {
        let recorder = log.recorder(&format!("019ab4c1-77aa-7c3e-9d0e-{run:012}"));
        let intent = recorder.record(&Event::Intent {
            grant: "http.billing",
            operation: "send",
            target: "GET https://billing.example.com/v1/invoices",
            decision: Decision::Allowed,
            reason: None,
            statement: None,
        })?;
        recorder.record(&Event::Outcome {
            of: intent.sequence(),
            outcome: OutcomeKind::Ok,
            reason: None,
            vault_request_ids: &["0f6f2f0c-8a11-77aa-7c3e-9d0e019ab4c1".to_owned()],
            detail: BTreeMap::from([("status", 200), ("bytes_received", 200)]),
            micros: 15_201,
        })?;
        recorder.record(&Event::AuthorityClosed {
            revoked: true,
            reason: None,
            vault_request_id: Some("0f6f2f0c-8a11-77aa-7c3e-9d0e019ab4c1"),
        })?;
        recorder.record(&Event::RunEnded {
            outcome: "done",
            limits: &[],
            exit: 0,
            cancelled_by: None,
        })?;
    }
    Ok(())
}
