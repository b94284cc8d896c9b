//! Rights that are wider than they should be, each planted, found by its id,
//! and taken away again.

use cofferdam::vault::policy::TokenRole;
use cofferdam_devkit::openbao::OpenBao;
use serde_json::{Value, json};

use super::clinic::{change, clinic, examined, nothing_is_left, reviewed};

const TASK: &str = "sys/policies/acl/cofferdam-task-caller";
const ROLE: &str = "auth/token/roles/cofferdam";

async fn policy(bao: &OpenBao, path: &str) -> String {
    let (_, answer) = bao.root("GET", path, None).await.unwrap();
    answer["data"]["policy"].as_str().unwrap().to_owned()
}

async fn put_policy(bao: &OpenBao, path: &str, text: &str) {
    change(bao, "PUT", path, json!({ "policy": text })).await;
}

#[tokio::test]
async fn a_task_policy_that_is_wider_than_its_grants() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let exact = policy(bao, TASK).await;
    for (more, words) in [
        (
            "path \"secret/data/other\" { capabilities = [\"read\"] }",
            "`read` on `secret/data/other`",
        ),
        (
            "path \"secret/*\" { capabilities = [\"read\"] }",
            "unreadable",
        ),
        (
            "path \"sys/raw\" { capabilities = [\"sudo\"] }",
            "allows `sudo`",
        ),
    ] {
        put_policy(bao, TASK, &format!("{exact}\n{more}\n")).await;
        let found = reviewed(&world);
        found.finds(&["policy.task"]);
        let told = found.what("policy.task");
        assert!(
            told.contains(words) && told.contains("cofferdam-task-caller"),
            "{told}"
        );
        // A host alone cannot know.
        assert!(examined(&world, &[]).ids("fault").is_empty());
    }
    world.policy("caller").unwrap();
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_task_policy_that_is_missing_or_lacks_something() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    change(bao, "DELETE", TASK, Value::Null).await;
    let found = reviewed(&world);
    found.finds(&["mint.task", "policy.task"]);
    assert!(found.what("mint.task").contains("no policy"), "{found:#?}");
    // This one anybody sees, at the mint.
    examined(&world, &[]).finds(&["mint.task"]);
    put_policy(bao, TASK, "# nothing").await;
    let found = reviewed(&world);
    found.finds(&["policy.task"]);
    assert!(
        found
            .what("policy.task")
            .contains("lacks `read` on `secret/data/api`")
    );
    world.policy("caller").unwrap();
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_task_policy_that_no_grants_file_is_for() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let path = "sys/policies/acl/cofferdam-task-forgotten";
    put_policy(bao, path, "path \"secret/*\" { capabilities = [\"read\"] }").await;
    let found = reviewed(&world);
    assert!(
        found.ids("warning").contains(&"policy.orphans"),
        "{found:#?}"
    );
    assert!(
        found.what("policy.orphans").contains("forgotten"),
        "{found:#?}"
    );
    change(bao, "DELETE", path, Value::Null).await;
    let found = reviewed(&world);
    found.is_clean();
    assert!(found.ids("ok").contains(&"policy.orphans"), "{found:#?}");
}

#[tokio::test]
async fn a_host_policy_with_sudo_or_more() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let path = "sys/policies/acl/cofferdam-host";
    let exact = policy(bao, path).await;
    for (wider, words) in [
        (
            exact.replacen("[\"update\"]", "[\"update\", \"sudo\"]", 1),
            "allows `sudo`",
        ),
        (
            format!("{exact}\npath \"auth/token/*\" {{ capabilities = [\"update\"] }}\n"),
            "unreadable",
        ),
        (
            format!("{exact}\npath \"secret/data/api\" {{ capabilities = [\"read\"] }}\n"),
            "`read` on `secret/data/api`",
        ),
    ] {
        assert_ne!(wider, exact);
        put_policy(bao, path, &wider).await;
        let found = reviewed(&world);
        found.finds(&["policy.host"]);
        assert!(found.what("policy.host").contains(words), "{found:#?}");
    }
    put_policy(bao, path, &exact).await;
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_token_role_that_is_wider_than_it_should_be() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let standard = serde_json::to_value(TokenRole::standard()).unwrap();
    let with = |field: &str, value: Value| {
        let mut role = standard.clone();
        role[field] = value;
        role
    };
    for (role, ids) in [
        (
            with("allowed_policies_glob", json!(["*"])),
            vec!["role.policies"],
        ),
        (
            with("allowed_policies_glob", json!(["cofferdam-*"])),
            vec!["role.policies"],
        ),
        (
            with("token_no_default_policy", json!(false)),
            vec!["role.no_default_policy"],
        ),
        (with("renewable", json!(true)), vec!["role.renewable"]),
        (with("token_period", json!("1h")), vec!["role.period"]),
        (
            with("allowed_entity_aliases", json!(["x"])),
            vec!["role.entity_aliases"],
        ),
        // These two anybody sees, at the mint.
        (
            with("orphan", json!(true)),
            vec!["mint.task", "role.orphan"],
        ),
        (
            with("token_explicit_max_ttl", json!(30)),
            vec!["mint.task", "role.explicit_max_ttl"],
        ),
    ] {
        // What is left out of a write keeps its value.
        change(bao, "DELETE", ROLE, Value::Null).await;
        change(bao, "POST", ROLE, role.clone()).await;
        let found = reviewed(&world);
        for id in &ids {
            assert!(found.ids("fault").contains(id), "{role}: {id}: {found:#?}");
        }
        assert!(
            found
                .ids("fault")
                .iter()
                .all(|id| ids.contains(id) || *id == "mint.task"),
            "{role}: {found:#?}"
        );
        assert_eq!(found.code, 1);
        nothing_is_left(&world, bao).await;
    }
    change(bao, "DELETE", ROLE, Value::Null).await;
    let found = reviewed(&world);
    assert!(found.ids("fault").contains(&"role.policies"), "{found:#?}");
    change(bao, "POST", ROLE, standard).await;
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_token_life_below_a_deadline_is_told_with_the_task() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let mut role = serde_json::to_value(TokenRole::standard()).unwrap();
    // Enough for one minute, the usual `timeout`, and not for two.
    role["token_explicit_max_ttl"] = json!(100);
    change(bao, "POST", ROLE, role).await;
    reviewed(&world).is_clean();
    let grants = std::fs::read_to_string(world.path("grants/caller.toml")).unwrap();
    world
        .write(
            "grants/caller.toml",
            &format!("{grants}\n[limits]\ntimeout = \"2m\"\n"),
        )
        .unwrap();
    let found = reviewed(&world);
    found.finds(&["mint.task", "role.explicit_max_ttl"]);
    assert!(
        found.what("role.explicit_max_ttl").contains("`caller`"),
        "{found:#?}"
    );
    world.write("grants/caller.toml", &grants).unwrap();
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn policies_of_the_log_ins_identity_and_of_its_groups() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    reviewed(&world).is_clean();
    let (_, entities) = bao.root("LIST", "identity/entity/id", None).await.unwrap();
    let entity = entities["data"]["keys"][0].as_str().unwrap().to_owned();

    let group = json!({ "name": "team", "policies": ["team-x"], "member_entity_ids": [entity] });
    let made = change(bao, "POST", "identity/group", group).await;
    let group = made["data"]["id"].as_str().unwrap();
    let found = reviewed(&world);
    found.finds(&["mint.task", "login.policies", "identity.groups"]);
    let told = found.what("identity.groups");
    assert!(
        told.contains("group team") && told.contains("`team-x`"),
        "{told}"
    );
    // Anybody sees that there is one, though not whose.
    let alone = examined(&world, &[]);
    alone.finds(&["mint.task", "login.policies"]);
    change(
        bao,
        "DELETE",
        &format!("identity/group/id/{group}"),
        Value::Null,
    )
    .await;
    reviewed(&world).is_clean();

    let path = format!("identity/entity/id/{entity}");
    change(bao, "POST", &path, json!({ "policies": ["lone-y"] })).await;
    let found = reviewed(&world);
    found.finds(&["mint.task", "login.policies", "identity.entity"]);
    assert!(
        found.what("identity.entity").contains("`lone-y`"),
        "{found:#?}"
    );
    change(bao, "POST", &path, json!({ "policies": [] })).await;
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_log_in_role_that_gives_more() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let role = "auth/approle/role/cofferdam-host";
    for (body, heal, ids) in [
        (
            json!({ "token_no_default_policy": false }),
            json!({ "token_no_default_policy": true }),
            vec!["login.policies", "login.role", "policy.host"],
        ),
        (
            json!({ "token_period": "1h" }),
            json!({ "token_period": "0" }),
            vec!["login.role"],
        ),
        (
            json!({ "token_policies": ["cofferdam-host", "cofferdam-reviewer"] }),
            json!({ "token_policies": ["cofferdam-host"] }),
            vec!["login.policies", "login.role", "policy.host"],
        ),
    ] {
        change(bao, "POST", role, body).await;
        reviewed(&world).finds(&ids);
        change(bao, "POST", role, heal).await;
        reviewed(&world).is_clean();
    }
    // A long life is for the operator to know.
    change(bao, "POST", role, json!({ "token_ttl": "3h" })).await;
    let found = reviewed(&world);
    found.is_clean();
    assert!(found.ids("warning").contains(&"login.life"), "{found:#?}");
    change(bao, "POST", role, json!({ "token_ttl": "1h" })).await;
    assert!(!reviewed(&world).ids("warning").contains(&"login.life"));
    for long in ["48h", "0"] {
        change(bao, "POST", role, json!({ "token_max_ttl": long })).await;
        let found = reviewed(&world);
        found.is_clean();
        assert!(found.ids("warning").contains(&"login.role"), "{found:#?}");
        let told = found.what("login.role");
        assert!(told.contains("token_max_ttl"), "{told}");
    }
    change(bao, "POST", role, json!({ "token_max_ttl": "4h" })).await;
    assert!(!reviewed(&world).ids("warning").contains(&"login.role"));
    nothing_is_left(&world, bao).await;
}
