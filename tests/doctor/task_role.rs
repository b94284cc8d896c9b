//! The role of a task whose attempts log in as themselves, changed in Vault.

use cofferdam_devkit::openbao::OpenBao;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use super::clinic::{change, examined, nothing_is_left, reviewed, reviewer};
use crate::identity::site::{install, site};

const ROLE: &str = "auth/cofferdam-jwt/role/cofferdam-task-billing";

/// The task `billing` with its own role and policy, and what else it carries.
async fn hospital(authority: &str) -> World {
    let world = site().await;
    let grants = format!(
        "[authority.jwt]\n{authority}\n[reveal.billing]\nreason = \"test\"\n\
         credential = {{ kv2 = {{ mount = \"secret\", path = \"dags/billing/api\", field = \"token\" }} }}\n"
    );
    install(&world, "billing", "probe-reveal", &grants);
    reviewer(&world, world.bao().unwrap()).await;
    world
}

async fn role(bao: &OpenBao) -> Value {
    let (status, answer) = bao.root("GET", ROLE, None).await.unwrap();
    assert_eq!(status, 200);
    answer["data"].clone()
}

#[tokio::test]
async fn a_role_that_is_what_we_write_is_ok_and_each_change_is_named() {
    let world = hospital("").await;
    let bao = world.bao().unwrap();
    let clean = || {
        let found = reviewed(&world);
        assert_eq!(found.code, 0, "{found:#?}");
        assert!(found.ids("ok").contains(&"role.task"), "{found:#?}");
        assert!(found.ids("ok").contains(&"policy.task"), "{found:#?}");
        // Nobody here is an attempt.
        assert_eq!(found.ids("not_proven"), ["mint.task"]);
    };
    clean();
    let right = role(bao).await;
    for (body, words) in [
        (
            json!({"bound_claims": {
                "task": right["bound_claims"]["task"],
                "dag_id": ["billing", "payroll", "Billing", "somebodys"],
                "assurance": right["bound_claims"]["assurance"],
            }}),
            "`bound_claims.dag_id`",
        ),
        (
            json!({"bound_claims": {
                "dag_id": right["bound_claims"]["dag_id"],
                "assurance": right["bound_claims"]["assurance"],
            }}),
            "`bound_claims.task` is not set",
        ),
        (
            json!({"token_max_ttl": "24h"}),
            "`token_max_ttl` is `86400`",
        ),
        (
            json!({"token_policies": ["cofferdam-task-billing", "cofferdam-dag"]}),
            "`token_policies` is `cofferdam-task-billing, cofferdam-dag`",
        ),
        (json!({"bound_claims_type": "glob"}), "`bound_claims_type`"),
    ] {
        // The whole role each time: Vault takes one without a type for another.
        let mut changed = right.clone();
        for (name, value) in body.as_object().unwrap() {
            changed[name] = value.clone();
        }
        change(bao, "POST", ROLE, changed).await;
        let found = reviewed(&world);
        found.finds(&["role.task"]);
        let told = found.what("role.task");
        assert!(told.contains(words) && told.contains(ROLE), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        // A host alone cannot know.
        let alone = examined(&world, &[]);
        assert!(alone.ids("fault").is_empty(), "{alone:#?}");
        assert!(alone.ids("not_proven").contains(&"role.task"), "{alone:#?}");

        // As the cure of the last one says.
        if words.contains("type") {
            change(bao, "DELETE", ROLE, Value::Null).await;
        }
        world.policy("billing").unwrap();
        clean();
    }
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_role_that_is_missing_or_cannot_be_read() {
    let world = hospital("").await;
    let bao = world.bao().unwrap();
    change(bao, "DELETE", ROLE, Value::Null).await;
    let found = reviewed(&world);
    found.finds(&["role.task"]);
    assert!(
        found.what("role.task").contains("no such role"),
        "{found:#?}"
    );
    world.policy("billing").unwrap();
    assert_eq!(reviewed(&world).code, 0);

    let path = "sys/policies/acl/cofferdam-reviewer";
    let (_, answer) = bao.root("GET", path, None).await.unwrap();
    let whole = answer["data"]["policy"].as_str().unwrap();
    let less = whole.replace("auth/cofferdam-jwt/role/+", "auth/other/role/+");
    assert_ne!(less, whole);
    change(bao, "PUT", path, json!({ "policy": less })).await;
    let found = reviewed(&world);
    assert_eq!(found.code, 1, "{found:#?}");
    assert!(found.ids("fault").is_empty(), "{found:#?}");
    assert!(found.ids("not_proven").contains(&"role.task"), "{found:#?}");
    assert!(!found.ids("ok").contains(&"role.task"), "{found:#?}");
}

#[tokio::test]
async fn policies_of_peoples_own_are_named_and_not_proven() {
    let world = hospital("policies = [\"cofferdam-task-billing\", \"cofferdam-dag\"]\n").await;
    let found = reviewed(&world);
    assert!(found.ids("fault").is_empty(), "{found:#?}");
    assert!(found.ids("ok").contains(&"role.task"), "{found:#?}");
    let told = found.what("policy.task");
    assert!(told.contains("carry `cofferdam-dag`"), "{told}");
    assert!(!told.contains("`cofferdam-task-billing`"), "{told}");
}
