//! The host's own log: who is looking for a run finds its lines.

use cofferdam_devkit::upstream::Upstream;
use serde_json::json;

use super::world::Watched;
use crate::common::{api, install, world};

#[tokio::test]
async fn at_debug_every_line_of_an_attempt_names_its_run() {
    let watched = Watched::start().await;
    let run = watched.world.run("everything").input(Watched::input());
    let finished = run.arg("--log-level").arg("debug").finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    let report = finished.report().unwrap();
    let run = report["run"].as_str().unwrap();
    let lines: Vec<_> = finished.stderr.lines().collect();
    let asked: Vec<_> = (lines.iter().copied())
        .filter(|line| line.contains("asked vault"))
        .collect();
    // What the process does for itself at its end.
    let (own, of_run): (Vec<&str>, Vec<&str>) =
        asked.iter().partition(|line| line.contains("revoke-self"));
    assert_eq!(own.len(), 1, "{asked:?}");
    for operation in [
        "log_in",
        "mint",
        "read",
        "key",
        "lease",
        "renew_lease",
        "revoke",
    ] {
        let field = format!("operation=\"{operation}\"");
        assert!(of_run.iter().any(|line| line.contains(&field)), "{field}");
    }
    for line in &of_run {
        assert!(line.contains(&format!("run=\"{run}\"")), "{line}");
        assert!(line.contains("task=everything dag_id=tests"), "{line}");
    }
    // Vault's own ids of the requests, as its audit has them.
    let audit = std::fs::read_to_string(watched.bao().audit_file()).unwrap();
    let ids: Vec<_> = (of_run.iter())
        .filter_map(|line| line.split("request_id=\"").nth(1)?.split('"').next())
        .collect();
    assert!(ids.len() >= 4, "{of_run:?}");
    assert!(ids.iter().all(|id| audit.contains(id)), "{ids:?}");
}

#[tokio::test]
async fn by_default_the_log_of_a_good_run_is_empty() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let input = json!({"do": "http", "grant": "api", "path": "status/200"});
    let run = |level: Option<&str>| {
        let run = world.run("caller").input(input.clone());
        let run = match level {
            Some(level) => run.arg("--log-level").arg(level),
            None => run,
        };
        let finished = run.finish().unwrap();
        assert_eq!(finished.code, 0, "{finished:?}");
        finished.stderr
    };
    // The control: the same run has something to say.
    assert!(run(Some("debug")).contains("asked vault"));
    let words = run(None);
    assert!(
        !words.contains("WARN") && !words.contains("run="),
        "{words}"
    );
}
