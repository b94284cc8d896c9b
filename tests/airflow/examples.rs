//! The example DAGs, as they are shipped.

use serde_json::json;

use super::Trials;
use super::site::{LONG, Site};

pub(super) fn trials(trials: &mut Trials) {
    trials.add(
        "examples::each_runs_as_it_is_shipped",
        each_runs_as_it_is_shipped,
    );
}

async fn each_runs_as_it_is_shipped(site: &Site) {
    let api = site.airflow.api();
    for (dag, word) in [
        ("billing", "http.billing"),
        ("examples_mapped", "greeting"),
        ("examples", "greeting"),
    ] {
        let run = api.trigger(dag, json!({})).await.unwrap();
        let state = api.ended(dag, &run, LONG).await.unwrap();
        let mut log = String::new();
        for step in api.instances(dag, &run).await.unwrap() {
            let task = step.field("task_id").as_str().unwrap().to_owned();
            let lines = api.log(dag, &run, &task, step.map_index(), 1).await;
            log.push_str(&serde_json::to_string(&lines.unwrap()).unwrap());
        }
        assert_eq!(state, "success", "{dag}: {log}");
        assert!(log.contains(word), "{dag}: {log}");
        assert_eq!(site.living(&run).await, 0);
        if dag == "billing" {
            assert!(log.contains("revoked"), "{log}");
            let minted = site.world.bao().unwrap().answers().unwrap();
            let of_run = |line: &serde_json::Value| line.to_string().contains(&run);
            assert!(minted.iter().any(of_run), "Vault's audit names the run");
        }
    }
}
