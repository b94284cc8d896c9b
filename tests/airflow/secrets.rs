//! What a DAG can get hold of: nothing.

use std::process::Stdio;

use cofferdam_devkit::canary::{Canary, Hunt};
use cofferdam_devkit::process::{Guarded, dying_with_us_as, open_to_others};
use cofferdam_devkit::tools;
use cofferdam_devkit::upstream::Recorded;
use serde_json::json;

use super::Trials;
use super::site::{AIRFLOW, LONG, Runner, Site, processes};
use crate::common::TOKEN;

pub(super) fn trials(trials: &mut Trials) {
    trials.add(
        "secrets::a_dag_cannot_read_what_is_the_services",
        a_thief_gets_nothing,
    );
    trials.add(
        "secrets::nothing_listens_but_here",
        nothing_listens_but_here,
    );
    trials.add(
        "secrets::the_binary_gets_nothing_of_the_workers",
        the_binary_gets_nothing,
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
    assert_eq!(tried.matches("PermissionError").count(), 6, "{tried}");
    // The same user reads what is his own.
    let own = site.world.path("laptop/secret-id");
    let own = site.as_airflow("cat", &[own.to_str().unwrap()]);
    assert!(own.status.success() && !own.stdout.is_empty(), "{own:?}");
}

async fn nothing_listens_but_here(site: &Site) {
    // Airflow's processes, the service, Vault, the database and the API.
    let opened = || -> Vec<String> {
        (open_to_others().difference(&site.open_before))
            .cloned()
            .collect()
    };
    assert_eq!(opened(), Vec::<String>::new());
    // One that does is seen.
    let script = "import socket, sys; s = socket.create_server(('0.0.0.0', 0)); sys.stdin.read()";
    let python = tools::airflow().unwrap().join("python3");
    let mut command = dying_with_us_as(AIRFLOW, python);
    command
        .args(["-c", script])
        .current_dir(site.world.folder())
        .stdin(Stdio::piped());
    let open = Guarded::spawn(command).unwrap();
    crate::common::until("the control is seen", || !opened().is_empty());
    open.stop();
}

async fn the_binary_gets_nothing(site: &Site) {
    let marker = "an-input-of-the-task";
    let input = json!({
        "do": "http", "grant": "api", "path": format!("status/200?{marker}"),
        "then": { "do": "sleep", "ms": 3_000 },
    });
    let dag = Runner::Laptop.dag("tests");
    let run = site.trigger(&dag, "caller", input).await;
    site.lives(&run).await;
    let pid = processes(&format!("run caller .*{}", run.replace('+', ".")))[0];
    let read = |name: &str| {
        let text = std::fs::read(format!("/proc/{pid}/{name}")).unwrap();
        String::from_utf8(text).unwrap()
    };
    let arguments = read("cmdline");
    assert!(
        arguments.contains(&run) && !arguments.contains(marker),
        "{arguments}"
    );
    let environment = read("environ");
    let names = environment.split('\0').filter(|it| !it.is_empty());
    let names: Vec<&str> = names.map(|it| it.split_once('=').unwrap().0).collect();
    let allowed = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];
    assert!(
        !names.is_empty() && names.iter().all(|it| allowed.contains(it)),
        "{names:?}"
    );
    let ended = site.airflow.api().ended(&dag, &run, LONG).await.unwrap();
    assert_eq!(ended, "success");
    let asked = site.upstream.requests();
    assert!(
        asked.iter().any(|it| it.target.contains(marker)),
        "the input was used"
    );
}

async fn no_secret_is_anywhere_in_airflow(site: &mut Site) {
    // Every way by which a secret comes back, on both runners.
    let planted = "planted-9f31c02b77";
    let bearer = format!("Bearer {TOKEN}");
    let carried = |it: &&Recorded| it.header("authorization") == Some(bearer.as_bytes());
    let uses = || site.upstream.requests().iter().filter(carried).count();
    let before = uses();
    for runner in Runner::BOTH {
        let dag = runner.dag("tests");
        for path in ["reflect/raw", "reflect/base64", "status/200"] {
            let get = json!({ "do": "http", "grant": "api", "path": path });
            let (_, state) = site.run(&dag, "caller", get).await;
            assert_eq!(state, "success", "{path}");
        }
        let echo = json!({ "do": "echo", "value": planted });
        let (_, state) = site.run(&dag, "probe", echo).await;
        assert_eq!(state, "success");
        let log = json!({ "do": "log", "level": "info", "text": planted });
        site.run(&dag, "probe", log).await;
    }
    // Over TCP, deferred, and at ends that are not good.
    let reflected = json!({ "do": "http", "grant": "api", "path": "reflect/raw" });
    for (dag, then, end) in [
        (
            "tests_certificate",
            json!({ "do": "echo", "value": 1 }),
            "success",
        ),
        (
            "tests_deferred",
            json!({ "do": "echo", "value": 1 }),
            "success",
        ),
        (
            "tests",
            json!({ "do": "fail", "message": planted }),
            "failed",
        ),
        ("tests", json!({ "do": "trap" }), "failed"),
        ("tests_laptop", json!({ "do": "trap" }), "failed"),
        (
            "tests_timeout",
            json!({ "do": "sleep", "ms": 55_000 }),
            "failed",
        ),
    ] {
        let mut input = reflected.clone();
        input["then"] = then;
        let (run, state) = site.run(dag, "caller", input).await;
        assert_eq!(state, end, "{dag}: {run}");
    }
    assert_eq!(uses() - before, 12, "each used the secret");

    let folders = [
        site.airflow.home().to_owned(),
        site.world.path("audit"),
        site.world.path("laptop/audit"),
        site.world.path("laptop/state"),
    ];
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
    // Nor the token that Airflow itself shows to the service.
    let (run, state) = site
        .run("tests_bearer", "probe", json!({ "do": "context" }))
        .await;
    assert_eq!(state, "success", "{run}");
    hunted(&site.remote.token).finish().unwrap();
}
