//! The policies that are written are accepted, sufficient and no wider.

use cofferdam::secret::Secret;
use cofferdam::vault::policy::{PolicyRules, host_policy};
use cofferdam::vault::{Admin, Operation, VaultError};
use serde_json::json;

use super::world::World;

#[tokio::test]
async fn the_server_keeps_the_text_that_was_written() {
    let world = World::start().await;
    let (status, body) = world
        .root("GET", "sys/policies/acl/cofferdam-host", None)
        .await;
    assert_eq!(status, 200);
    let text = body["data"]["policy"].as_str().unwrap();
    let wanted = host_policy(&"cofferdam".parse().unwrap());
    assert_eq!(PolicyRules::parse_hcl(text).unwrap(), wanted);

    let (_, role) = world.root("GET", "auth/token/roles/cofferdam", None).await;
    let role = &role["data"];
    assert_eq!(role["allowed_policies_glob"], json!(["cofferdam-task-*"]));
    assert_eq!(role["allowed_policies"], json!([]));
    assert_eq!(role["orphan"], json!(false));
    assert_eq!(role["renewable"], json!(false));
    assert_eq!(role["token_type"], json!("service"));
    assert_eq!(role["token_no_default_policy"], json!(true));
    assert_eq!(role["token_explicit_max_ttl"], json!(90_000));
}

#[tokio::test]
async fn an_admin_token_without_rights_is_refused() {
    let world = World::start().await;
    let body = json!({"policies": ["default"]});
    let (_, body) = world.root("POST", "auth/token/create", Some(body)).await;
    let token = Secret::new(body["auth"]["client_token"].as_str().unwrap());
    let admin = Admin::connect(&world.approle(""), token).unwrap();
    let name = "cofferdam-task-x".parse().unwrap();
    let error = admin.put_policy(&name, "").await.expect_err("refused");
    assert!(
        matches!(
            error,
            VaultError::Refused {
                operation: Operation::Write,
                ..
            }
        ),
        "{error}"
    );
}
