//! What a DAG's name can do to Vault: nothing but name the DAG.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use super::site::{BOTH_AS_ITSELF, install, site};
use crate::common::nobody_lives;

/// What the task `teller` gets from a reveal under this dag_id.
fn told(world: &World, dag: &str, grant: &str) -> Value {
    let input = json!({"do": "reveal", "grant": grant});
    let finished = world.run("teller").dag(dag).input(input).finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    finished.result().unwrap()
}

/// What the probe makes of a secret that it was handed.
fn inverted(secret: &str) -> Value {
    let inverted: Vec<u8> = secret.bytes().map(|byte| !byte).collect();
    json!({"length": secret.len(), "inverted": BASE64_STANDARD.encode(inverted)})
}

#[tokio::test]
async fn a_dag_reads_its_own_path_and_no_other() {
    let world = site().await;
    install(&world, "teller", "probe-reveal", BOTH_AS_ITSELF);
    for (dag, foreign) in [("billing", "payroll"), ("payroll", "billing")] {
        assert_eq!(
            told(&world, dag, dag),
            inverted(&format!("secret-of-{dag}"))
        );
        let refused = told(&world, dag, foreign);
        assert_eq!(refused["kind"], "internal", "{dag}: {refused}");
    }
    // A neighbour in name alone.
    for grant in ["billing", "payroll"] {
        assert_eq!(told(&world, "Billing", grant)["kind"], "internal");
    }
    nobody_lives(world.bao().unwrap()).await;
}

#[tokio::test]
async fn a_name_with_a_meaning_never_reaches_vault() {
    let world = site().await;
    install(&world, "teller", "probe-reveal", BOTH_AS_ITSELF);
    let bao = world.bao().unwrap();
    let asked = || bao.answers().unwrap().len();
    let before = asked();
    let input = json!({"do": "reveal", "grant": "billing"});
    let long = "x".repeat(251);
    let bad = [
        "*",
        "+",
        "bill*",
        "a/b",
        "..",
        ".",
        "a/../billing",
        "a..b",
        "{{identity}}",
        "{",
        "}",
        "a,b",
        "a\"b",
        "a\\b",
        "a\nb",
        "a\u{1b}[2J",
        "a\u{7f}",
        "",
        &long,
    ];
    for name in bad {
        let mut runs = vec![world.run("teller").dag(name)];
        if name.is_empty() {
            runs.push(
                world
                    .run("teller")
                    .dag("billing")
                    .arg("--task-id")
                    .arg(name),
            );
        } else {
            let run = || world.run("teller").dag("billing");
            runs.push(run().arg("--task-id").arg(name));
            runs.push(run().arg("--bundle").arg(name));
            if name != "+" {
                runs.push(run().arg("--run-id").arg(name));
            }
        }
        for run in runs {
            let finished = run.input(input.clone()).finish().unwrap();
            assert_eq!(finished.code, 2, "{name:?}: {finished:?}");
        }
    }
    assert_eq!(asked(), before, "something reached Vault");

    // A run_id may hold `+`, as Airflow's do. It reaches no metadata that a
    // policy could read.
    let run = "scheduled__2026-01-01T00:00:00+00:00";
    let finished = world.run("teller").dag("billing").arg("--run-id").arg(run);
    let finished = finished.input(input).finish().unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    assert!(asked() > before, "the count counts");
    let (_, list) = bao
        .root("LIST", "identity/entity-alias/id", None)
        .await
        .unwrap();
    let mut aliases = 0;
    for id in list["data"]["keys"].as_array().unwrap() {
        let path = format!("identity/entity-alias/id/{}", id.as_str().unwrap());
        let (_, alias) = bao.root("GET", &path, None).await.unwrap();
        let metadata = &alias["data"]["metadata"];
        aliases += usize::from(metadata["dag_id"] == "billing");
        assert!(!alias.to_string().contains(run), "{alias}");
    }
    assert_eq!(aliases, 1, "{list}");
    nobody_lives(bao).await;
}
