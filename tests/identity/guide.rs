//! docs/VAULT.md, as it is written: an administrator types its blocks.

use serde_json::json;

use crate::common::{guest, nobody_lives, world};
use crate::guide::{section, type_in};

/// What follows `[caller]`: three secrets in two folders.
const GRANTS: &str = "\
[reveal.own]\nreason = \"test\"\n\
credential = { kv2 = { mount = \"secret\", path = \"dags/billing/api\", field = \"token\" } }\n\
[reveal.other]\nreason = \"test\"\n\
credential = { kv2 = { mount = \"secret\", path = \"dags/payroll/api\", field = \"token\" } }\n";

#[tokio::test]
async fn the_page_sets_up_a_task_that_logs_in_as_its_dag() {
    let page = section("As the DAG's own identity");
    let [identity, authority] = page.settings.as_slice() else {
        panic!("{page:?}")
    };
    let world = world().await;
    let bao = world.bao().unwrap();
    for dag in ["billing", "payroll"] {
        let secret = json!({"data": {"token": format!("secret-of-{dag}")}});
        let path = format!("secret/data/dags/{dag}/api");
        bao.root("POST", &path, Some(secret)).await.unwrap();
    }
    let text = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    world
        .write("cofferdam.toml", &format!("{text}\n{identity}"))
        .unwrap();
    let grants = format!("{authority}\n{GRANTS}");
    world
        .task("invoice-sync", &guest("probe-reveal"), &grants)
        .unwrap();
    let file = "grants/invoice-sync.toml";
    let text = std::fs::read_to_string(world.path(file)).unwrap();
    world
        .write(
            file,
            &text.replace("[\"tests\"]", "[\"billing\", \"payroll\"]"),
        )
        .unwrap();
    let [mount, dags, role, new_key, own_key] = page.shell.as_slice() else {
        panic!("{page:?}")
    };
    for block in [mount, dags, role] {
        type_in(world.folder(), bao, block, &[]);
    }
    let check = world.command(&["check"]).output().unwrap();
    let told = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(!told.contains("identity"), "{told}");

    let try_read = |dag: &str, grant: &str| {
        let input = json!({"do": "reveal", "grant": grant});
        let run = world.run("invoice-sync").dag(dag).input(input);
        run.finish().unwrap()
    };
    let read = |dag, grant| try_read(dag, grant).result().unwrap()["length"].clone();
    assert_eq!(read("billing", "own"), 17);
    assert_eq!(read("billing", "other"), json!(null));
    assert_eq!(read("payroll", "other"), 17);
    assert_eq!(read("payroll", "own"), json!(null));
    nobody_lives(bao).await;

    // A new key, and one of the operator's own.
    let keys = || std::fs::read_to_string(world.path("cofferdam.pem")).unwrap();
    let first = keys();
    type_in(world.folder(), bao, new_key, &[]);
    assert!(keys() != first && keys().contains(first.trim()), "both");
    assert_eq!(read("billing", "own"), 17);
    type_in(world.folder(), bao, own_key, &[]);
    let text = std::fs::read_to_string(world.path("cofferdam.toml")).unwrap();
    let own = text.replace(
        "[vault.identity]\n",
        "[vault.identity]\nkey_file = \"identity.pem\"\n",
    );
    assert_ne!(own, text);
    world.write("cofferdam.toml", &own).unwrap();
    // The control: Vault does not know it yet.
    assert_eq!(try_read("billing", "own").code, 3);
    type_in(world.folder(), bao, mount.split_once('\n').unwrap().1, &[]);
    assert_eq!(read("billing", "own"), 17);
    nobody_lives(bao).await;

    // What was written is what `policy` shows.
    let shown = world
        .command(&["policy", "invoice-sync", "--format", "json"])
        .output()
        .unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let jwt = &shown["tasks"][0]["jwt"];
    let path = "auth/cofferdam-jwt/role/cofferdam-task-invoice-sync";
    let (_, written) = bao.root("GET", path, None).await.unwrap();
    for (setting, value) in jwt["role"].as_object().unwrap() {
        assert_eq!(&written["data"][setting], value, "{setting}");
    }
    assert_eq!(
        jwt["role"]["bound_claims"],
        json!({
            "assurance": ["attested", "claimed"], "dag_id": ["billing", "payroll"],
            "task": ["invoice-sync"],
        })
    );
    // Nobody carries the task's own policy, so nobody wrote it.
    assert_eq!(shown["tasks"][0]["carried"], false);
    let path = "sys/policies/acl/cofferdam-task-invoice-sync";
    let (status, _) = bao.root("GET", path, None).await.unwrap();
    assert_eq!(status, 404);
}

/// Vault refuses what the grants file refuses, even if the host did not.
#[tokio::test]
async fn the_role_admits_whom_the_grants_admit() {
    let world = super::site::site().await;
    super::site::install(
        &world,
        "teller",
        "probe-reveal",
        super::site::BOTH_AS_ITSELF,
    );
    let run = |dag: &str| {
        let input = json!({"do": "reveal", "grant": "billing"});
        world.run("teller").dag(dag).input(input).finish().unwrap()
    };
    assert_eq!(run("billing").code, 0);
    // The file changes, the role does not.
    let file = "grants/teller.toml";
    let text = std::fs::read_to_string(world.path(file)).unwrap();
    world
        .write(file, &text.replace("\"payroll\"", "\"reports\""))
        .unwrap();
    let refused = run("reports");
    assert_eq!(refused.code, 3, "{refused:?}");
    let outcome = &refused.report().unwrap()["outcome"];
    assert_eq!(outcome["phase"], "authority");
    let hint = outcome["hint"].as_str().unwrap();
    assert!(hint.contains("cofferdam policy TASK --write"), "{hint}");
    world.policy("teller").unwrap();
    assert_eq!(run("reports").code, 0);
    nobody_lives(world.bao().unwrap()).await;
}
