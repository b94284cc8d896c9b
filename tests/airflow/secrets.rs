//! What a DAG can get hold of: nothing.

use cofferdam_devkit::canary::{Canary, Hunt};
use cofferdam_devkit::upstream::Recorded;
use serde_json::json;

use super::Trials;
use super::site::{LONG, Runner, Site};
use crate::common::TOKEN;

pub(super) fn trials(trials: &mut Trials) {
    trials.add(
        "secrets::a_dag_cannot_read_what_is_the_services",
        a_thief_gets_nothing,
    );
    trials.alone(
        "secrets::no_secret_is_anywhere_in_airflow",
        no_secret_is_anywhere_in_airflow,
    );
}

async fn a_thief_gets_nothing(site: &Site) {
    let api = site.airflow.api();
    let run = api.trigger("tests_thief", json!({})).await.unwrap();
    assert_eq!(
        api.ended("tests_thief", &run, LONG).await.unwrap(),
        "success"
    );
    let tried = api.xcom("tests_thief", &run, "steal", -1, "return_value");
    let tried = tried.await.unwrap().to_string();
    assert_eq!(tried.matches("PermissionError").count(), 5, "{tried}");
    // The same user reads what is his own.
    let own = site.world.path("laptop/secret-id");
    let own = site.as_airflow("cat", &[own.to_str().unwrap()]);
    assert!(own.status.success() && !own.stdout.is_empty(), "{own:?}");
}

async fn no_secret_is_anywhere_in_airflow(site: &mut Site) {
    // Every way by which a secret comes back, on both runners.
    let planted = "planted-9f31c02b77";
    for runner in Runner::BOTH {
        let dag = runner.dag("tests");
        for path in ["reflect/raw", "reflect/base64", "status/200"] {
            let get = json!({ "do": "http", "grant": "api", "path": path });
            site.run(&dag, "caller", get).await;
        }
        let echo = json!({ "do": "echo", "value": planted });
        let (_, state) = site.run(&dag, "probe", echo).await;
        assert_eq!(state, "success");
        let log = json!({ "do": "log", "level": "info", "text": planted });
        site.run(&dag, "probe", log).await;
    }
    let bearer = format!("Bearer {TOKEN}");
    let carried = |it: &&Recorded| it.header("authorization") == Some(bearer.as_bytes());
    let uses = site.upstream.requests().iter().filter(carried).count();
    assert!(uses >= 6, "the secret was used {uses} times");

    let folders = [site.airflow.home().to_owned(), site.world.path("audit")];
    let files = [site.world.path("serve.log")];
    let hunted = |canary: &str| {
        let mut hunt = Hunt::new(&Canary::of(canary));
        for folder in &folders {
            hunt.folder(folder).unwrap();
        }
        for file in &files {
            hunt.file(file).unwrap();
        }
        hunt
    };
    let own = hunted(planted);
    let found: Vec<String> = own.sightings().iter().map(|it| it.place.clone()).collect();
    for place in ["airflow.db", "logs"] {
        assert!(
            found.iter().any(|it| it.contains(place)),
            "{place}: {found:?}"
        );
    }
    let clean = hunted(TOKEN).finish().unwrap();
    assert!(clean > 50, "{clean} places were searched");
    // And the log-in of the service, and of the laptop.
    for name in ["secret-id", "laptop/secret-id"] {
        let secret = std::fs::read_to_string(site.world.path(name)).unwrap();
        hunted(secret.trim()).finish().unwrap();
    }
}
