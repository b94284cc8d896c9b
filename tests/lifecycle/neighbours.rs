//! Many processes share one state folder.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cofferdam_devkit::upstream::Upstream;
use serde_json::json;

use crate::common::{api, ended, install, journal, nobody_lives, sweep, world};

#[tokio::test]
async fn twenty_runs_beside_a_loop_of_sweeps_all_finish() {
    let world = world().await;
    let bao = world.bao().unwrap();
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    // Each run calls, waits among the sweeps, and would find its token dead: it
    // reads its secret only after the wait.
    let input =
        json!({"do": "http", "grant": "api", "path": "slow?pieces=10&pause=100", "times": 2});
    assert_eq!(
        world
            .run("caller")
            .input(input.clone())
            .finish()
            .unwrap()
            .code,
        0
    );
    upstream.forget();

    let (done, sweeps, met) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let (code, report) = sweep(&world);
                assert_eq!(code, 0, "{report}");
                assert_eq!(report["found"], json!([]), "it took a neighbour: {report}");
                let live = report["live"].as_u64().unwrap();
                met.fetch_max(usize::try_from(live).unwrap(), Ordering::Relaxed);
                sweeps.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let children: Vec<_> = (0..20)
            .map(|_| {
                world
                    .run("caller")
                    .input(input.clone())
                    .command()
                    .spawn()
                    .unwrap()
            })
            .collect();
        for child in children {
            let finished = ended(child);
            assert_eq!(finished.code, 0, "{finished:?}");
            assert_eq!(finished.report().unwrap()["denials"], json!([]));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(upstream.requests().len(), 40);
    assert!(sweeps.into_inner() >= 5);
    assert!(met.into_inner() >= 4, "the sweeps never met a living run");
    assert!(journal(&world).is_empty());
    nobody_lives(bao).await;
}
