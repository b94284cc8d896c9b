//! Hostile tasks beside a good one in one process.

use std::time::{Duration, Instant};

use cofferdam::run::Outcome;
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use serde_json::json;

use crate::common::{binary, guest};
use crate::in_process::{attempt, runner};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_task_does_not_notice_the_bad_ones() {
    let world = World::bare(binary()).unwrap();
    let limits =
        "[limits]\ntimeout = \"3s\"\nmemory = \"64MiB\"\nlog = \"10KiB\"\nhost_calls = 100000000\n";
    world.task("bad", &guest("probe"), limits).unwrap();
    world.task("good", &guest("probe"), "").unwrap();
    let upstream = Upstream::start().unwrap();
    let http = format!(
        "{limits}[http.api]\nbase = \"{}/\"\nallow = [\"GET **\"]\nnetwork = \"loopback\"\nplain = true\n",
        upstream.address()
    );
    world.task("calls", &guest("probe-http"), &http).unwrap();
    let runner = runner(&world);
    assert_eq!(
        attempt(&runner, "good", &json!({"do": "env"})).await.exit,
        0
    );

    let mut bad = Vec::new();
    for input in [
        json!({"do": "spin"}),
        json!({"do": "spin"}),
        json!({"do": "spin"}),
        json!({"do": "memory"}),
        json!({"do": "memory"}),
        json!({"do": "log_flood"}),
        json!({"do": "host_call_loop"}),
        json!({"do": "deep_recursion"}),
        json!({"do": "huge_output", "bytes": 30_000_000}),
    ] {
        let runner = runner.clone();
        bad.push(tokio::spawn(async move {
            attempt(&runner, "bad", &input).await
        }));
    }
    // A flood of handles, and one who reads a byte at a time what comes a byte at a time.
    let flood = json!({"do": "handles", "grant": "api", "count": 100_000_000});
    let slow = json!({
        "do": "http", "grant": "api", "path": "slow?pieces=1000&pause=20", "read_max": 1,
    });
    let [flood, slow] = [flood, slow].map(|input| {
        let runner = runner.clone();
        tokio::spawn(async move { attempt(&runner, "calls", &input).await })
    });
    // Three loops, a flood and a storm of calls want both processors for 3 s. All
    // end as they should, and the good one gets its turns.
    let begun = Instant::now();
    let mut rounds = 0;
    while begun.elapsed() < Duration::from_secs(2) {
        let one = Instant::now();
        let report = attempt(&runner, "good", &json!({"do": "context"})).await;
        assert_eq!(report.exit, 0, "{report:?}");
        assert!(
            one.elapsed() < Duration::from_secs(1),
            "{:?}",
            one.elapsed()
        );
        rounds += 1;
    }
    assert!(rounds >= 3, "{rounds} rounds in 2 s");
    for bad in bad {
        let report = bad.await.unwrap();
        assert!([5, 6].contains(&report.exit), "{report:?}");
    }
    // The table of handles is full: that is an answer, and no end.
    let flood = flood.await.unwrap();
    assert_eq!(
        (flood.exit, &*flood.limits),
        (0, &["handles".to_owned()][..])
    );
    let slow = slow.await.unwrap();
    let limit = "timeout".to_owned();
    assert_eq!(slow.outcome, Outcome::OutOfLimits { limit }, "{slow:?}");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}
