//! Every way in which a run ends leaves no credential alive.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::{Value, json};

use crate::common::{
    SOON, api, canceller, ended, get, install, nobody_lives, signal, sweep, until, world,
};

/// Small limits, so that each can be reached at once.
const LIMITS: &str = "[limits]\ntimeout = \"2s\"\nmemory = \"16MiB\"\noutput = \"1KiB\"\n\
                      log = \"10KiB\"\nhost_calls = 10000\n\n";

#[tokio::test]
async fn every_end_of_a_guest_ends_its_credentials() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let upstream = Upstream::start().unwrap();
    let grants = format!("{LIMITS}{}", api(&upstream.address()));
    install(&world, "caller", "probe-http", &grants);
    // Each uses its credential first, then ends in its own way.
    for (then, code, kind) in [
        (json!({"do": "echo", "value": 1}), 0, "done"),
        (json!({"do": "fail", "message": "no"}), 1, "failed"),
        (json!({"do": "retry", "message": "later"}), 75, "failed"),
        (json!({"do": "skip", "message": "nothing"}), 99, "failed"),
        (json!({"do": "trap"}), 6, "trapped"),
        (json!({"do": "panic", "message": "oh"}), 6, "trapped"),
        (json!({"do": "exit", "code": 0}), 6, "trapped"),
        (json!({"do": "deep_recursion"}), 6, "trapped"),
        (json!({"do": "spin"}), 5, "out_of_limits"),
        (json!({"do": "sleep", "ms": 60000}), 5, "out_of_limits"),
        (json!({"do": "memory"}), 5, "out_of_limits"),
        (
            json!({"do": "huge_output", "bytes": 5000}),
            5,
            "out_of_limits",
        ),
        (json!({"do": "host_call_loop"}), 5, "out_of_limits"),
    ] {
        let before = (bao.minted().unwrap(), upstream.requests().len());
        let input = json!({"do": "http", "grant": "api", "path": "status/200", "then": then});
        let finished = world.run("caller").input(input).finish().unwrap();
        assert_eq!(finished.code, code, "{then}: {finished:?}");
        let report = finished.report().unwrap();
        assert_eq!(report["outcome"]["kind"], kind, "{then}: {report}");
        assert_eq!(report["revocation"], json!({"complete": true}), "{then}");
        assert_eq!(report["audit"]["synced"], true, "{then}");
        let after = (bao.minted().unwrap(), upstream.requests().len());
        assert_eq!(after, (before.0 + 1, before.1 + 1), "{then}");
        nobody_lives(bao).await;
    }
}

#[tokio::test]
async fn a_cancelled_run_ends_its_credentials() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let grants = api("http://127.0.0.1:1");
    install(&world, "caller", "probe-http", &grants);
    for (name, how) in [
        ("TERM", Signal::TERM),
        ("INT", Signal::INT),
        ("HUP", Signal::HUP),
    ] {
        let by_signal = json!("signal");
        for (input, code, kind, by) in [
            (json!({"do": "spin"}), 130, "cancelled", &by_signal),
            (
                json!({"do": "sleep", "ms": 50000}),
                130,
                "cancelled",
                &by_signal,
            ),
            // A task that asks may still end well.
            (json!({"do": "poll_cancelled"}), 0, "done", &Value::Null),
        ] {
            let minted = bao.minted().unwrap();
            let child = world.run("caller").input(input.clone()).command().spawn();
            let child = child.unwrap();
            until("the mint", || bao.minted().unwrap() > minted);
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(bao.living().await.unwrap().len(), 2);
            let asked = Instant::now();
            signal(&child, how);
            let finished = ended(child);
            // Airflow kills 5 s after it asked.
            assert!(asked.elapsed() < Duration::from_secs(4));
            assert_eq!(finished.code, code, "{name} {input}: {finished:?}");
            let report = finished.report().unwrap();
            assert_eq!(report["outcome"]["kind"], kind, "{report}");
            assert_eq!(canceller(&world, report["run"].as_str().unwrap()), *by);
            assert_eq!(report["revocation"], json!({"complete": true}), "{report}");
            nobody_lives(bao).await;
        }
    }
}

#[tokio::test]
async fn a_caller_that_went_away_ends_nothing_early_and_leaves_nothing() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let upstream = Upstream::start().unwrap();
    let proxy = Proxy::start(upstream.socket()).unwrap();
    install(&world, "caller", "probe-http", &api(&proxy.address()));
    let held = proxy.inject(Rule::on("GET", "status", Fault::HoldRequest).times(1));
    let mut command = world.run("caller").input(get("status/200")).command();
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    held.wait_hit(SOON).unwrap();
    // Nobody reads any more: each write fails from now on.
    drop((child.stdout.take(), child.stderr.take()));
    held.release();
    let status = child.wait().unwrap();
    assert!(status.code().is_some(), "ended by {status}");
    assert_eq!(upstream.requests().len(), 1, "the call went on");
    nobody_lives(bao).await;
}

#[tokio::test]
async fn an_audit_that_fills_the_disk_refuses_the_call_and_is_told() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let upstream = Upstream::start().unwrap();
    let proxy = Proxy::start(upstream.socket()).unwrap();
    install(&world, "caller", "probe-http", &api(&proxy.address()));
    let run = world
        .run("caller")
        .input(json!({"do": "http", "grant": "api", "path": "status/200", "times": 100}))
        .command();
    // The signal that would end it is ignored, so that the write fails.
    let mut deaf = Command::new("sh");
    deaf.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(world.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let held = proxy.inject(Rule::on("GET", "status", Fault::HoldRequest).times(1));
    let child = deaf.spawn().unwrap();
    held.wait_hit(SOON).unwrap();
    // From now on no file of this process grows over 8 KiB: the audit would.
    let limit = Rlimit {
        current: Some(8_192),
        maximum: Some(8_192),
    };
    prlimit(Some(Pid::from_child(&child)), Resource::Fsize, limit).unwrap();
    held.release();
    let finished = ended(child);
    let report = finished.report().unwrap();
    let calls = upstream.requests().len();
    assert!(calls > 0 && calls < 100, "{calls} calls: {finished:?}");
    // The calls that could not be written down were denied, and the task lived with it.
    assert_eq!(
        (finished.code, &report["outcome"]["kind"]),
        (7, &json!("done"))
    );
    assert_eq!(report["audit"]["synced"], false, "{report}");
    assert!(
        report["audit"]
            .get("head")
            .is_none_or(|head| head.is_null()),
        "{report}"
    );
    nobody_lives(bao).await;
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_prevents_the_mint() {
    let world = world().await;
    let bao = world.bao().unwrap();
    install(&world, "caller", "probe-http", &api("http://127.0.0.1:1"));
    let (minted, logged_in) = (
        bao.minted().unwrap(),
        bao.tokens_made("auth/approle").unwrap(),
    );
    std::fs::create_dir_all(world.path("state")).unwrap();
    std::fs::set_permissions(world.path("state"), PermissionsExt::from_mode(0o700)).unwrap();
    // A file in the place of the journal's folder: not even root can write into it.
    world.write("state/journal", "not a folder").unwrap();
    let finished = world
        .run("caller")
        .input(get("status/200"))
        .finish()
        .unwrap();
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stdout.contains("journal"), "{finished:?}");
    assert_eq!(bao.minted().unwrap(), minted);
    assert_eq!(bao.tokens_made("auth/approle").unwrap(), logged_in);
    std::fs::remove_file(world.path("state/journal")).unwrap();
    assert_eq!(sweep(&world).0, 0);
    nobody_lives(bao).await;
}
