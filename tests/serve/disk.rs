//! A disk that is full, for the audit, the results, the journal and the cache.
//! Each is a real file system of its own, which takes root.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cofferdam::api::RunState;
use cofferdam::client::ClientError;
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::{Finished, World};
use serde_json::{Value, json};
use uuid::Uuid;

use super::command::{FOR_MACHINES, documents, plain};
use super::stage::{Stage, held, refusal, report, submission, vaulted};
use crate::common::{self, alive, binary, get, guest};

/// A small file system at a folder.
pub(super) struct Disk(PathBuf);

impl Disk {
    pub(super) fn mount(path: &Path) -> Self {
        fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs"]);
        let done = mount.arg(path).output().unwrap();
        assert!(
            done.status.success(),
            "a test needs a file system: {done:?}"
        );
        Self(path.to_owned())
    }

    /// Takes all the room there is.
    pub(super) fn fill(&self) {
        let mut ballast = fs::File::options()
            .create(true)
            .append(true)
            .open(self.0.join("ballast"))
            .unwrap();
        for size in [1 << 16, 1 << 12, 1] {
            while ballast
                .write(&vec![0; size])
                .is_ok_and(|written| written > 0)
            {}
        }
        let refused = ballast.write(&[0]).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
    }

    pub(super) fn free(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(done.is_ok_and(|status| status.success()));
    }
}

/// The names of what is not as it should be.
async fn troubles(stage: &Stage) -> Vec<String> {
    let ready = stage.client().ready().await.unwrap();
    let bad = ready.checks.into_iter().filter(|check| !check.ok);
    bad.map(|check| check.name).collect()
}

pub(super) async fn becomes(stage: &Stage, wanted: &[&str]) {
    let begun = Instant::now();
    loop {
        let found = troubles(stage).await;
        if found == wanted {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{found:?}: {}",
            stage.log()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A service whose audit has a disk of its own.
async fn with_little_room_for_the_audit() -> (Upstream, Disk, Stage) {
    let upstream = Upstream::start().unwrap();
    let world = vaulted(&upstream).await;
    let disk = Disk::mount(&world.path("audit"));
    let stage = Stage::of(world, "").await;
    (upstream, disk, stage)
}

/// A run whose work is done and whose audit has no end is told with the same words and the
/// same exit code, with a service and without one.
#[tokio::test]
async fn without_room_for_the_end_of_its_audit_a_run_looks_the_same_both_ways() {
    let (upstream, disk, mut stage) = with_little_room_for_the_audit().await;
    let socket = stage.socket();
    let server = ["--server", socket.to_str().unwrap()];
    // What is left of a page takes some lines, and then no more. Which of its calls that
    // refuses differs.
    let input = json!({
        "do": "http", "grant": "api", "path": "held", "times": 20,
        "then": { "do": "echo", "value": 1 },
    });
    let input = input.to_string();
    let run = ["run", "caller", "--dag-id", "tests", "--input", &input];
    for is_for_people in [true, false] {
        upstream.forget();
        upstream.hold();
        let form = if is_for_people {
            &[][..]
        } else {
            &FOR_MACHINES
        };
        let runs = [&[][..], &server].map(|way| {
            let mut command = stage.world.command(&[&run[..], form, way].concat());
            let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().unwrap()
        });
        common::becomes("both are held", async || held(&upstream) == 2).await;
        disk.fill();
        upstream.release();
        let [local, remote] =
            runs.map(|run| Finished::of(run.wait_with_output().unwrap()).unwrap());
        assert_eq!(local.code, 7, "{local:?}");
        assert!(local.stderr.contains(OWN_LOG), "{local:?}");
        let [local, remote] = [local, remote].map(without_accidents);
        if is_for_people {
            assert_eq!(plain(&local), plain(&remote));
            assert!(local.stderr.contains("warning: the audit"), "{local:?}");
        } else {
            let [local, remote] = [local, remote].map(|run| {
                let (code, mut report, records) = documents(&run);
                assert_eq!(report["revocation"]["complete"], true, "{report}");
                for name in ["calls", "denials"] {
                    let counted = report.as_object_mut().unwrap().remove(name);
                    assert!(counted.is_some(), "no `{name}`: {report}");
                }
                (code, report, records)
            });
            assert_eq!(local, remote);
        }
        becomes(&stage, &["audit"]).await;
        disk.free();
        becomes(&stage, &[]).await;
    }
    stage.ends_clean().await;
}

/// What stands in the host's own log, in both its forms, of an audit that takes nothing.
const OWN_LOG: &str = " error=";

/// Without the host's own log, which a service has elsewhere, and without how many calls
/// were refused.
fn without_accidents(finished: Finished) -> Finished {
    let lines = finished.stderr.lines();
    let kept = lines.filter(|line| !line.contains(OWN_LOG) && !line.starts_with("denied: "));
    Finished {
        stderr: kept.collect::<Vec<_>>().join("\n"),
        ..finished
    }
}

#[tokio::test]
async fn without_room_for_the_audit_nothing_runs_until_there_is_room() {
    let (upstream, disk, mut stage) = with_little_room_for_the_audit().await;
    assert_eq!(stage.run("hello", json!({ "name": "x" })).await.exit, 0);
    let held = stage.held(&upstream).await;
    disk.fill();
    // What is left of a page takes some lines.
    let mut refused = None;
    for _ in 0..50 {
        let report = stage.run("hello", json!({ "name": "x" })).await;
        if report.exit != 0 || report.audit.head.is_none() {
            refused = Some(report);
            break;
        }
    }
    let told = refused.expect("a full disk was not noticed");
    assert!(told.audit.head.is_none(), "{told:?}");
    // Its work was done, or it never began; it is no plain success.
    assert!(matches!(told.exit, 2 | 7), "{told:?}");
    let told = stage.run("hello", json!({ "name": "x" })).await;
    assert_eq!(told.outcome.word(), "refused", "{told:?}");
    becomes(&stage, &["audit"]).await;
    // One that needs a secret gets none; the authority that lives is closed all the same.
    let bao = stage.world.bao().unwrap();
    let minted = bao.minted().unwrap();
    let refused = stage.run("caller", get("status/200")).await;
    assert_eq!(refused.outcome.word(), "refused", "{refused:?}");
    assert_eq!((bao.minted().unwrap(), minted), (1, 1));
    upstream.release();
    let told = report(&stage.end_of(held).await);
    assert_ne!(told.exit, 0, "its audit has no end: {told:?}");
    assert!(told.audit.head.is_none() && told.revocation.unwrap().complete);
    assert_eq!(alive(bao, "caller").await, 0);
    disk.free();
    becomes(&stage, &[]).await;
    let done = stage.run("caller", get("status/200")).await;
    assert_eq!(done.exit, 0, "{done:?}");
    assert!(done.audit.head.is_some());
    // The chain that was broken off says so; the others are whole.
    stage.ends_clean().await;
    let verify = ["--format", "json", "audit", "verify"];
    let verified = stage.world.command(&verify).output().unwrap();
    let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
    let files = verified["files"].as_array().unwrap();
    assert!(files.len() >= 2, "a new chain was begun: {verified}");
    for (at, file) in files.iter().enumerate() {
        let kinds: Vec<&Value> = file["findings"].as_array().unwrap().iter().collect();
        let is_torn = kinds.iter().all(|finding| finding["kind"] == "torn");
        assert!(is_torn, "{file}");
        assert!(at == 0 || kinds.is_empty(), "{file}");
    }
}

#[tokio::test]
async fn without_room_for_results_nothing_begins_and_nothing_is_lost() {
    let upstream = Upstream::start().unwrap();
    let world = vaulted(&upstream).await;
    let disk = Disk::mount(&world.path("state"));
    let mut stage = Stage::of(world, "").await;
    let held = stage.held(&upstream).await;
    let sleep = json!({ "do": "sleep", "ms": 2_000 });
    let old = stage.submit("probe", sleep).await.unwrap();
    stage.running(old).await;
    disk.fill();
    let (mut begun, refused) = until_refused(&stage).await;
    let (status, kind, detail) = refusal::<()>(Err(refused));
    assert_eq!((status, kind.as_str()), (503, "unavailable"), "{detail}");
    assert_eq!(troubles(&stage).await, ["store"]);
    // Nor does one whose end is waited for, now that it is known.
    let brief = submission("probe", json!({ "do": "echo", "value": 1 }));
    let waited = stage.client().submit_and_wait("brief", &brief, 60).await;
    assert_eq!(refusal(waited).0, 503);
    // The work of the old one is done, and told.
    assert_eq!(report(&stage.end_of(old).await).exit, 0);
    // Nor is a token minted, and the one that lives dies.
    let bao = stage.world.bao().unwrap();
    let refused = stage.submit("caller", get("status/200")).await;
    assert_eq!(refusal(refused).0, 503);
    assert_eq!(bao.minted().unwrap(), 1);
    upstream.release();
    stage.held_ended(&upstream, held).await;
    assert_eq!(alive(bao, "caller").await, 0);
    disk.free();
    becomes(&stage, &[]).await;
    let new = stage
        .submit("probe", json!({ "do": "echo", "value": 1 }))
        .await
        .unwrap();
    begun.push(new);
    for run in begun.iter().chain([&old, &held]) {
        assert_eq!(report(&stage.end_of(*run).await).exit, 0);
    }
    // And kept: the next service knows every one.
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.kill();
    stage.start().await;
    for run in begun.iter().chain([&old, &held]) {
        assert_eq!(report(&stage.end_of(*run).await).exit, 0);
    }
    stage.ends_clean().await;
}

/// Submits until the full disk takes no more: pages that the file has already may take
/// a few. What was begun, and the refusal.
async fn until_refused(stage: &Stage) -> (Vec<Uuid>, ClientError) {
    let mut begun = Vec::new();
    loop {
        assert!(begun.len() < 3_000, "a full disk was not noticed");
        let echo = json!({ "do": "echo", "value": "x".repeat(900) });
        match stage.submit("probe", echo).await {
            Ok(run) => begun.push(run),
            Err(refused) => return (begun, refused),
        }
    }
}

/// A submission that lasts, and so is written down before it is over.
fn sleeping(seconds: u64) -> cofferdam::api::Submission {
    submission("probe", json!({ "do": "sleep", "ms": seconds * 1_000 }))
}

#[tokio::test]
async fn a_run_under_way_is_never_said_not_to_have_begun() {
    let world = World::bare(binary()).unwrap();
    world.task("probe", &guest("probe"), "").unwrap();
    let disk = Disk::mount(&world.path("state"));
    let mut stage = Stage::of(world, "").await;
    // One that began before the service knew that the disk is full is not written down,
    // which is told, and not that it was not begun.
    disk.fill();
    let mut told = None;
    for number in 0..20 {
        let key = format!("late-{number}");
        match stage.client().submit_and_wait(&key, &sleeping(5), 1).await {
            Err(ClientError::Refused(problem)) if problem.type_uri.ends_with(":unwritten") => {
                told = Some((key, problem));
                break;
            }
            // The log had a page left.
            Ok(_) => (),
            // Another one's end did not fit, so that it was known.
            Err(other) => {
                assert_eq!(refusal::<()>(Err(other)).1, "unavailable");
                disk.free();
                becomes(&stage, &[]).await;
                disk.fill();
            }
        }
    }
    let (key, problem) = told.expect("no run began on a full disk");
    assert_eq!((problem.status, problem.exit), (503, 75));
    let run = problem.detail.split(' ').nth(1).unwrap().parse().unwrap();
    let view = stage.client().run(run, 0).await.unwrap();
    assert_eq!(view.state, RunState::Running);
    disk.free();
    becomes(&stage, &[]).await;
    let again = stage.client().submit(&key, &sleeping(5)).await.unwrap();
    assert_eq!(again.view.run, run);
    assert_eq!(report(&stage.end_of(run).await).exit, 0);

    // One is written down while there is room; then the disk fills, and its wait ends.
    let client = stage.client();
    let early = tokio::spawn(async move {
        let sleep = sleeping(12);
        client.submit_and_wait("early", &sleep, 8).await.unwrap()
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    disk.fill();
    until_refused(&stage).await;
    assert!(
        !early.is_finished(),
        "the disk was to fill before its wait ends"
    );
    let early = early.await.unwrap();
    assert_eq!(early.view.state, RunState::Running);
    until_refused(&stage).await;
    let again = stage.client().submit("early", &sleeping(12)).await.unwrap();
    assert_eq!(again.view.run, early.view.run);
    assert_eq!(again.view.state, RunState::Running);
    assert_eq!(report(&stage.end_of(early.view.run).await).exit, 0);
    disk.free();
    becomes(&stage, &[]).await;
    stage.stop().await;
}

#[tokio::test]
async fn without_room_for_the_journal_no_token_is_minted() {
    let upstream = Upstream::start().unwrap();
    let world = vaulted(&upstream).await;
    fs::create_dir_all(world.path("state")).unwrap();
    fs::set_permissions(
        world.path("state"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    let disk = Disk::mount(&world.path("state/journal"));
    let mut stage = Stage::of(world, "").await;
    disk.fill();
    let minted = stage.world.bao().unwrap().minted().unwrap();
    let refused = stage.run("caller", get("status/200")).await;
    assert_eq!(refused.outcome.word(), "refused", "{refused:?}");
    let told = format!("{:?}", refused.outcome);
    assert!(
        told.contains("journal") || told.contains("No space"),
        "{told}"
    );
    assert_eq!(stage.world.bao().unwrap().minted().unwrap(), minted);
    becomes(&stage, &["journal"]).await;
    disk.free();
    becomes(&stage, &[]).await;
    let done = stage.run("caller", get("status/200")).await;
    assert_eq!(done.exit, 0, "{done:?}");
    stage.ends_clean().await;
}

#[tokio::test]
async fn without_room_for_the_cache_tasks_are_compiled_again() {
    let upstream = Upstream::start().unwrap();
    let world = vaulted(&upstream).await;
    let disk = Disk::mount(&world.path("cache"));
    disk.fill();
    let mut stage = Stage::of(world, "").await;
    stage.logs("could not be cached").await;
    assert_eq!(stage.run("hello", json!({ "name": "x" })).await.exit, 0);
    let held = stage.held(&upstream).await;
    upstream.release();
    stage.held_ended(&upstream, held).await;
    stage.ends_clean().await;
    disk.free();
}
