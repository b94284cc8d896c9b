//! Handles: bounded in number.

use cofferdam_devkit::upstream::Upstream;
use serde_json::json;

use super::run;
use crate::common::{api, install, nobody_lives, world};

#[tokio::test]
async fn a_full_table_of_handles_is_a_denial_and_is_named() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    let grants = format!("[limits]\nhandles = 20\n\n{}", api(&upstream.address()));
    install(&world, "task", "probe-http", &grants);
    for input in [
        json!({"do": "handles", "grant": "api", "count": 5_000}),
        json!({"do": "responses", "grant": "api", "path": "status/200", "count": 5_000}),
    ] {
        let (code, report) = run(&world, &input);
        assert_eq!(
            (code, &report["limits"]),
            (0, &json!(["handles"])),
            "{report}"
        );
        let held = report["result"]["held"].as_u64().unwrap();
        assert!((10..=20).contains(&held), "{report}");
        assert_eq!(
            report["result"]["refusal"]["kind"], "limit-reached",
            "{report}"
        );
    }
    let (_, report) = run(
        &world,
        &json!({"do": "handles", "grant": "api", "count": 10}),
    );
    assert_eq!(
        (&report["limits"], &report["result"]["held"]),
        (&json!([]), &json!(10))
    );
    nobody_lives(world.bao().unwrap()).await;
}
