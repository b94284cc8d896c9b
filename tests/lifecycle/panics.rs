//! A panic in a host function: the guest is gone, the line goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cofferdam::capability::{LogLine, LogSink};
use cofferdam::run::Outcome;
use cofferdam_devkit::upstream::Upstream;
use serde_json::json;

use crate::common::{api, get, install, journal, nobody_lives, world};
use crate::in_process::{attempt, attempt_heard, runner};

/// Panics in the middle of the host function that a guest's log line calls.
#[derive(Default)]
struct Panics(AtomicUsize);

impl LogSink for Panics {
    fn line(&self, _: LogLine) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("planted by a test");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_in_a_host_function_still_revokes_and_seals() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let runner = runner(&world);
    let mut input = get("status/200");
    input["then"] = json!({"do": "log", "level": "info", "text": "x"});

    let sink = Arc::new(Panics::default());
    let heard = Arc::clone(&sink) as Arc<dyn LogSink>;
    let report = attempt_heard(&runner, "caller", &input, heard).await;
    assert_eq!(sink.0.load(Ordering::Relaxed), 1, "it panicked");
    let Outcome::Refused { message, .. } = &report.outcome else {
        panic!("{report:?}")
    };
    assert!(message.contains("bug in cofferdam"), "{message}");
    assert!(!message.contains("planted"), "{message}");
    assert_eq!(report.exit, 6);
    // The credential was in use; it is gone before the report is there.
    assert_eq!(upstream.requests().len(), 1);
    assert!(report.revocation.as_ref().is_some_and(|it| it.complete));
    assert!(report.audit.head.is_some() && report.audit.synced);
    let bao = world.bao().unwrap();
    assert_eq!(bao.living_policies().await.unwrap(), [["cofferdam-host"]]);

    // The process goes on.
    let report = attempt(&runner, "caller", &input).await;
    assert_eq!(report.exit, 0, "{report:?}");
    let report = runner.close(report).await;
    assert!(report.revocation.is_some_and(|it| it.complete));
    nobody_lives(bao).await;
    assert!(journal(&world).is_empty());
    let head = report.audit.head.unwrap().to_string();
    let file = report.audit.file.display().to_string();
    let mut verify = world.command(&["audit", "verify", &file, "--head", &head]);
    assert!(verify.output().unwrap().status.success());
}
