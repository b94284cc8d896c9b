//! What goes wrong around a service that has much to do.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cofferdam::api::{CancelledBy, RunState};
use cofferdam::run::Outcome;
use cofferdam_devkit::clock::Skew;
use cofferdam_devkit::openbao::{OpenBao, Provision};
use cofferdam_devkit::process::{Guarded, dying_with_us};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::{DAG, World};
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::ask;
use super::stage::{Stage, report, submission};
use crate::common::{
    SOON, TOKEN, alive, api, becomes, binary, canceller, get, install, journal, minted,
    nobody_lives,
};

/// Runs that are under way at once.
const CROWD: usize = 100;

const ROOMY: &str = "[engine]\ninstances = 128\n";

/// A service with room for the crowd.
async fn busy(upstream: &Upstream, server: &str) -> Stage {
    Stage::busy(upstream, &format!("{ROOMY}{server}")).await
}

/// Submits as many runs as the crowd has, each with its own key.
async fn crowd(stage: &Stage, input: &Value) -> BTreeMap<String, Uuid> {
    let mut runs = BTreeMap::new();
    for number in 0..CROWD {
        let key = format!("crowd-{number}");
        let (client, run) = (stage.client(), submission("caller", input.clone()));
        let submitted = client.submit(&key, &run).await.unwrap();
        runs.insert(key, submitted.view.run);
    }
    runs
}

#[tokio::test]
async fn sigkill_under_load_loses_no_run_and_leaves_nothing_alive() {
    let upstream = Upstream::start().unwrap();
    let mut stage = busy(&upstream, "").await;
    let done = stage.run("caller", get("status/200")).await.run;
    let runs = crowd(&stage, &get("never")).await;
    minted(stage.world.bao().unwrap(), "caller", CROWD).await;
    stage.kill();
    let living = stage.world.bao().unwrap().living().await.unwrap();
    assert!(
        living.len() >= CROWD,
        "the kill left {} tokens",
        living.len()
    );
    stage.start().await;
    for (key, run) in &runs {
        let (client, run_again) = (stage.client(), submission("caller", get("never")));
        let again = client.submit(key, &run_again).await.unwrap();
        assert!(again.replayed);
        assert_eq!((again.view.run, again.view.state), (*run, RunState::Lost));
        assert_eq!(again.view.swept, Some(true), "{:?}", again.view);
    }
    assert_eq!(
        stage.end_of(done.parse().unwrap()).await.state,
        RunState::Ended
    );
    stage.ends_clean().await;
}

#[tokio::test]
async fn sigterm_with_a_hundred_runs_under_way_revokes_all_of_them() {
    let upstream = Upstream::start().unwrap();
    let mut stage = busy(&upstream, "[server]\ndrain = \"1s\"\n").await;
    let runs = crowd(&stage, &get("never")).await;
    minted(stage.world.bao().unwrap(), "caller", CROWD).await;
    stage.signal(Signal::TERM);
    stage.ends_well(Duration::from_secs(60)).await;
    nobody_lives(stage.world.bao().unwrap()).await;
    assert!(journal(&stage.world).is_empty());
    stage.start().await;
    for run in runs.values() {
        let view = stage.end_of(*run).await;
        assert_eq!(view.cancelled_by, Some(CancelledBy::Service));
        assert_eq!(canceller(&stage.world, &run.to_string()), "service");
        let told = report(&view);
        assert_eq!(told.exit, 130);
        assert!(told.revocation.unwrap().complete);
    }
}

#[tokio::test]
async fn vault_that_dies_and_comes_back_under_load_is_survived() {
    let upstream = Upstream::start().unwrap();
    let bao = OpenBao::start_durable().await.unwrap();
    let what = Provision {
        kv2: vec![("api", json!({ "token": TOKEN }))],
        kv1: vec![],
        transit: vec![],
    };
    let world = World::with_bao(binary(), &what, bao).await.unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let mut stage = Stage::of(world, ROOMY).await;
    let health = |stage: &Stage| ask(stage, "GET", "/v1/health/vault", "", "").0;
    assert_eq!(health(&stage), 200);
    let runs = crowd(&stage, &get("held")).await;
    // All have their secret: nothing but their end needs Vault.
    becomes("all are at the API", async || {
        upstream.requests().len() >= CROWD
    })
    .await;
    stage.world.bao_mut().unwrap().kill();
    upstream.release();
    becomes("it is noticed", async || {
        !stage.client().ready().await.unwrap().ready
    })
    .await;
    assert_eq!(health(&stage), 503);
    for run in runs.values() {
        let told = report(&stage.end_of(*run).await);
        assert_eq!((&told.outcome, told.exit), (&Outcome::Done, 7), "{told:?}");
        assert!(!told.revocation.unwrap().complete);
    }
    // It sweeps once Vault is back, and that must not be before we have asked.
    stage.signal(Signal::STOP);
    stage.world.bao_mut().unwrap().start_again().await.unwrap();
    assert_eq!(alive(stage.world.bao().unwrap(), "caller").await, CROWD);
    stage.signal(Signal::CONT);
    becomes("it is noticed", async || {
        stage.client().ready().await.unwrap().ready
    })
    .await;
    assert_eq!(health(&stage), 200);
    let after = stage.run("caller", get("status/200")).await;
    assert_eq!(after.exit, 0, "{after:?}");
    // What could not be revoked then, the service itself ends: its own log-in is all
    // that lives.
    becomes("what was left is swept", async || {
        let left = alive(stage.world.bao().unwrap(), "caller").await;
        let pending = stage.number("cofferdam_vault_pending_revocations");
        (left, pending) == (0, Some(0.0))
    })
    .await;
    stage.logs("was swept").await;
    stage.ends_clean().await;
}

#[tokio::test]
async fn who_says_nothing_or_a_byte_a_second_is_sent_away() {
    let upstream = Upstream::start().unwrap();
    let mut stage = Stage::busy(&upstream, "").await;
    let held = stage.held(&upstream).await;
    // Whoever asks is one.
    let connections = "cofferdam_connections";
    becomes("we are alone", async || {
        stage.number(connections) == Some(1.0)
    })
    .await;
    let patience = Duration::from_secs(60);
    let connect = || {
        let stream = UnixStream::connect(stage.socket()).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        stream
    };
    /// Sends a byte a second for as long as it is taken, and tells how long that was.
    fn trickle(mut stream: UnixStream, start: &[u8]) -> Duration {
        let begun = Instant::now();
        stream.write_all(start).unwrap();
        stream.set_nonblocking(true).unwrap();
        loop {
            // The peer is gone: an end, or an answer and then the end.
            match stream.read(&mut [0; 4_096]) {
                Ok(0) => return begun.elapsed(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return begun.elapsed(),
                Ok(_) => continue,
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "it is still there"
            );
            let _ = stream.write_all(b"x");
            std::thread::sleep(Duration::from_secs(1));
        }
    }
    let mut silent = connect();
    let silence = std::thread::spawn(move || {
        let begun = Instant::now();
        assert_eq!(silent.read(&mut [0; 16]).unwrap(), 0, "an end");
        begun.elapsed()
    });
    let head = connect();
    let head = std::thread::spawn(move || trickle(head, b"POST /v1/runs HTTP/1.1\r\nx-slow: "));
    let body = connect();
    let body = std::thread::spawn(move || {
        trickle(
            body,
            b"POST /v1/runs HTTP/1.1\r\nhost: x\r\nidempotency-key: k\r\n\
              content-type: application/json\r\ncontent-length: 4000\r\nconnection: close\r\n\r\n{",
        )
    });
    becomes("all are there", async || {
        stage.number(connections) == Some(4.0)
    })
    .await;
    // The others do not notice.
    let others = Instant::now();
    let mut runs = 1;
    while others.elapsed() < Duration::from_secs(28) {
        runs += 1;
        let report = stage.run("hello", json!({ "name": "x" })).await;
        assert_eq!(report.exit, 0);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for (what, waited) in [("silence", silence), ("head", head), ("body", body)] {
        let waited = waited.join().unwrap();
        let limits = Duration::from_secs(29)..Duration::from_secs(45);
        assert!(limits.contains(&waited), "{what}: {waited:?}");
    }
    becomes("all are gone", async || {
        stage.number(connections) == Some(1.0)
    })
    .await;
    assert_eq!(stage.world.begun().unwrap(), runs, "none of theirs began");
    upstream.release();
    stage.held_ended(&upstream, held).await;
    stage.ends_clean().await;
}

#[tokio::test]
async fn a_caller_without_end_of_connections_harms_itself() {
    let upstream = Upstream::start().unwrap();
    let mut stage = Stage::busy(&upstream, "[server.limits]\nruns = 2\n").await;
    stage.stop().await;
    let mut command = dying_with_us("prlimit");
    command.arg("--nofile=96:96").arg(binary());
    command.args(["--log-level", "info", "serve"]);
    stage.start_command(command).await;
    let held = stage.held(&upstream).await;
    let slow = stage.submit("probe", json!({ "do": "sleep", "ms": 2_000 }));
    let slow = slow.await.unwrap();
    // Its turn comes when there is no file descriptor left.
    let next = stage.submit("hello", json!({ "name": "x" })).await.unwrap();
    let idle: Vec<_> = (0..200)
        .map(|_| UnixStream::connect(stage.socket()))
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let refused = stage.client().version().await;
    assert!(refused.is_err(), "all connections are taken");
    // Even the last file descriptors.
    let pid = stage.pid().to_string();
    let lowered = Command::new("prlimit")
        .args(["--pid", &pid, "--nofile=8:96"])
        .status();
    assert!(lowered.unwrap().success());
    let since = Timestamp::now();
    drop(idle);
    // Its end comes then too.
    upstream.release();
    tokio::time::sleep(Duration::from_millis(2_000)).await;
    becomes("all have ended", async || {
        let audit = stage.world.audit().unwrap();
        let ended = audit.iter().filter(|line| line["event"] == "run_ended");
        ended.count() == 3
    })
    .await;
    // There is still none: the kernel takes a connection, the service cannot.
    let refusals = || stage.log().matches("could not be accepted").count();
    let before = refusals();
    let waiting = UnixStream::connect(stage.socket()).unwrap();
    becomes("it is not accepted", async || refusals() > before).await;
    drop(waiting);
    let meanwhile = since..Timestamp::now();
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, "--nofile=96:96"])
        .status();
    assert!(raised.unwrap().success());
    becomes("it recovers", async || {
        stage.client().version().await.is_ok()
    })
    .await;
    for run in [held, slow, next] {
        let view = stage.end_of(run).await;
        assert!(meanwhile.contains(&view.ended.unwrap()), "{view:?}");
        // The others had their turn before.
        let is_turn_meanwhile = meanwhile.contains(&view.started.unwrap());
        assert_eq!(is_turn_meanwhile, run == next, "{view:?}");
        let report = report(&view);
        assert_eq!(report.exit, 0, "{report:?}: {}", stage.log());
    }
    stage.held_ended(&upstream, held).await;
    stage.ends_clean().await;
}

/// The clock goes wrong, twice, while runs are under way: what is counted in seconds goes
/// by the monotonic clock.
#[tokio::test]
async fn a_clock_that_jumps_under_way_changes_no_result() {
    let upstream = Upstream::start().unwrap();
    let mut stage = busy(&upstream, "").await;
    stage.stop().await;
    let skew = Skew::new().unwrap();
    let mut command = dying_with_us(binary());
    skew.apply(&mut command, 0);
    command.args(["--log-level", "info", "serve"]);
    stage.start_command(command).await;
    for seconds in [7_200, -7_200, 0] {
        upstream.hold();
        let under_way = stage.submit("caller", get("held")).await.unwrap();
        minted(stage.world.bao().unwrap(), "caller", 1).await;
        skew.jump(seconds).unwrap();
        // What counts seconds has the time to notice.
        tokio::time::sleep(Duration::from_secs(1)).await;
        upstream.release();
        let view = stage.end_of(under_way).await;
        assert_eq!(report(&view).exit, 0, "{seconds}: {view:?}");
        assert!(report(&view).revocation.unwrap().complete);
        let off = view.ended.unwrap().duration_since(Timestamp::now());
        let off = off.as_secs() - seconds;
        assert!(off.abs() < 60, "its clock is off by {off}");
        // What begins then works too, under the log-in of before.
        assert_eq!(stage.run("caller", get("status/200")).await.exit, 0);
        assert!(stage.client().ready().await.unwrap().ready);
    }
    stage.ends_clean().await;
    let verified = stage.world.command(&["audit", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

/// Whoever asked is gone; what was asked for goes on, and the same command finds it.
#[tokio::test]
async fn sigkill_of_the_clients_under_load_ends_no_run() {
    const CLIENTS: usize = 20;
    let upstream = Upstream::start().unwrap();
    let mut stage = busy(&upstream, "").await;
    let input = get("held").to_string();
    let start = |number: usize| {
        let mut command = dying_with_us(binary());
        command
            .args(["run", "caller", "--dag-id", DAG, "--input", &input])
            .args(["--idempotency-key", &format!("client-{number}")])
            .arg("--server")
            .arg(stage.socket())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        Guarded::spawn(command).unwrap()
    };
    let mut clients: Vec<Guarded> = (0..CLIENTS).map(start).collect();
    minted(stage.world.bao().unwrap(), "caller", CLIENTS).await;
    // Whoever asks is one.
    let connections = || stage.number("cofferdam_connections").unwrap();
    becomes("all of them wait", async || connections() > CLIENTS as f64).await;
    for client in &mut clients {
        assert!(client.ended().unwrap().is_none(), "it waits for its run");
        client.kill();
        let status = client.ended().unwrap().unwrap();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}");
    }
    becomes("it is noticed", async || connections() == 1.0).await;
    let living = alive(stage.world.bao().unwrap(), "caller").await;
    assert_eq!(living, CLIENTS, "none ended with its client");
    assert_eq!(stage.world.begun().unwrap(), CLIENTS);
    upstream.release();
    for number in 0..CLIENTS {
        let mut again = start(number);
        let status = again.child().wait().unwrap();
        assert!(status.success(), "{number}: {status}");
    }
    assert_eq!(
        stage.world.begun().unwrap(),
        CLIENTS,
        "none was begun twice"
    );
    stage.ends_clean().await;
}

#[tokio::test]
async fn a_clock_that_is_wrong_from_the_start_changes_no_result() {
    let upstream = Upstream::start().unwrap();
    let mut stage = busy(&upstream, "").await;
    stage.stop().await;
    let skew = Skew::new().unwrap();
    for seconds in [7_200, -7_200] {
        let mut command = dying_with_us(binary());
        skew.apply(&mut command, seconds);
        command.args(["--log-level", "info", "serve"]);
        stage.start_command(command).await;
        let run = stage.submit("caller", get("status/200")).await.unwrap();
        let view = stage.end_of(run).await;
        let off = view.submitted.duration_since(Timestamp::now()).as_secs();
        assert!((off - seconds).abs() < 60, "its clock is off by {off}");
        assert_eq!(report(&view).exit, 0);
        stage.ends_clean().await;
    }
    stage.start().await;
    assert_eq!(stage.run("caller", get("status/200")).await.exit, 0);
    stage.ends_clean().await;
}

#[tokio::test]
async fn one_http2_connection_has_few_requests_under_way() {
    let stage = Stage::bare("").await;
    // The preface of HTTP/2 and empty settings (RFC 9113, 3.4); the service's come back.
    let mut stream = UnixStream::connect(stage.socket()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(preface).unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], 4, "SETTINGS");
    let mut settings = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut settings).unwrap();
    // SETTINGS_MAX_CONCURRENT_STREAMS is number 3.
    let streams = settings.chunks(6).find(|it| it[..2] == [0, 3]);
    assert_eq!(streams.unwrap()[2..], [0, 0, 0, 16]);
}
