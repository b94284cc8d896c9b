//! A whole installation whose tasks log in as themselves.

use std::process::Command;

use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use super::stage::{AUDIENCE, DAGS, ISSUER, MOUNT};
use crate::common::{guest, world};

/// Reveals the secrets of two DAGs, if Vault lets it: the task's policy names
/// the DAG.
pub(super) const BOTH_AS_ITSELF: &str = "\
[authority.jwt]\npolicies = [\"cofferdam-dag\"]\n\n\
[reveal.billing]\nreason = \"test\"\n\
credential = { kv2 = { mount = \"secret\", path = \"dags/billing/api\", field = \"token\" } }\n\
[reveal.payroll]\nreason = \"test\"\n\
credential = { kv2 = { mount = \"secret\", path = \"dags/payroll/api\", field = \"token\" } }\n";

/// A world with a JWT mount, the policy `cofferdam-dag`, a secret for each DAG
/// and the host's key, as docs/VAULT.md sets it up.
pub(crate) async fn site() -> World {
    let world = world().await;
    configure(&world, &world.bao().unwrap().address());
    write(&world, &format!("sys/auth/{MOUNT}"), json!({"type": "jwt"})).await;
    let pem = identity(&world, &["pem"]);
    let config = json!({"jwt_validation_pubkeys": pem, "bound_issuer": ISSUER});
    write(&world, &format!("auth/{MOUNT}/config"), config).await;
    let bao = world.bao().unwrap();
    let (_, mounts) = bao.root("GET", "sys/auth", None).await.unwrap();
    let accessor = mounts["data"][format!("{MOUNT}/")]["accessor"].as_str();
    let policy = format!(
        "path \"secret/data/dags/{{{{identity.entity.aliases.{}.metadata.dag_id}}}}/*\" {{\n  \
         capabilities = [\"read\"]\n}}\n",
        accessor.unwrap()
    );
    let policy = json!({ "policy": policy });
    write(&world, "sys/policies/acl/cofferdam-dag", policy).await;
    for dag in DAGS {
        let secret = json!({"data": {"token": format!("secret-of-{dag}")}});
        write(&world, &format!("secret/data/dags/{dag}/api"), secret).await;
    }
    world
}

/// `cofferdam.toml` with Vault at this address.
pub(super) fn configure(world: &World, address: &str) {
    world.vault_at(address).unwrap();
    let file = world.path("cofferdam.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let identity =
        format!("\n[vault.identity]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n");
    world
        .write("cofferdam.toml", &format!("{text}{identity}"))
        .unwrap();
}

/// Installs a task for every DAG, and writes what Vault needs for it.
pub(crate) fn install(world: &World, task: &str, component: &str, grants: &str) {
    world.task(task, &guest(component), grants).unwrap();
    let name = format!("grants/{task}.toml");
    let text = std::fs::read_to_string(world.path(&name)).unwrap();
    assert!(text.contains("dags = [\"tests\"]"), "{text}");
    let dags = format!("dags = {DAGS:?}");
    world
        .write(&name, &text.replace("dags = [\"tests\"]", &dags))
        .unwrap();
    world.policy(task).unwrap();
}

/// `cofferdam identity …` and what it prints.
pub(super) fn identity(world: &World, arguments: &[&str]) -> String {
    let mut command: Command = world.command(&[&["identity"], arguments].concat());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(super) async fn write(world: &World, path: &str, body: Value) {
    let bao = world.bao().unwrap();
    let (status, answer) = bao.root("POST", path, Some(body)).await.unwrap();
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
}
