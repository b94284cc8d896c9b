//! An installation that is as it should be, and what doctor says of it.

use std::process::Command;

use cofferdam_devkit::openbao::OpenBao;
use cofferdam_devkit::world::{Finished, World};
use serde_json::{Value, json};

use crate::common::{api, install, journal, signer, world};

/// What only a reviewer's token can prove.
pub(super) const WIDTH: [&str; 15] = [
    "login.policies",
    "login.role",
    "role.policies",
    "role.orphan",
    "role.renewable",
    "role.token_type",
    "role.no_default_policy",
    "role.explicit_max_ttl",
    "role.period",
    "role.entity_aliases",
    "policy.host",
    "policy.task",
    "policy.orphans",
    "identity.entity",
    "identity.groups",
];

/// An examination that has ended.
#[derive(Debug)]
pub(super) struct Examined {
    pub(super) code: i32,
    pub(super) report: Value,
}

/// Two tasks that need Vault and one that does not, their policies, and a
/// reviewer's token.
pub(super) async fn clinic() -> World {
    let world = world().await;
    install(&world, "caller", "probe-http", &api("http://127.0.0.1:1"));
    install(
        &world,
        "sealer",
        "probe-keys",
        &signer("box", &["hmac", "encrypt"]),
    );
    install(&world, "idle", "probe-http", "");
    reviewer(&world, world.bao().unwrap()).await;
    world
}

/// Writes the reviewer's policy with our own command, and a token with it.
pub(super) async fn reviewer(world: &World, bao: &OpenBao) {
    let arguments = [
        "policy",
        "--reviewer",
        "--write",
        "--admin-token-file",
        "admin-token",
    ];
    let done = world.command(&arguments).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    let body = json!({
        "policies": ["cofferdam-reviewer"], "no_default_policy": true,
        "no_parent": true, "ttl": "1h",
    });
    let (_, made) = bao
        .root("POST", "auth/token/create", Some(body))
        .await
        .unwrap();
    let token = made["auth"]["client_token"].as_str().unwrap();
    world.write("reviewer-token", token).unwrap();
}

/// `cofferdam doctor --format json` with a reviewer's token.
pub(super) fn reviewed(world: &World) -> Examined {
    examined(world, &["--token-file", "reviewer-token"])
}

/// `cofferdam doctor --format json` with these arguments.
pub(super) fn examined(world: &World, arguments: &[&str]) -> Examined {
    Examined::of(command(world, arguments).output().unwrap())
}

pub(super) fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command(&["--format", "json", "doctor"]);
    command.args(arguments);
    command
}

impl Examined {
    pub(super) fn of(output: std::process::Output) -> Self {
        let finished = Finished::of(output).unwrap();
        Self {
            code: finished.code,
            report: finished.report().unwrap(),
        }
    }

    pub(super) fn checks(&self) -> &[Value] {
        self.report["checks"].as_array().unwrap()
    }

    /// The ids of everything in this state, each once.
    pub(super) fn ids(&self, state: &str) -> Vec<&str> {
        let mut ids: Vec<_> = self
            .checks()
            .iter()
            .filter(|check| check["state"] == state)
            .map(|check| check["id"].as_str().unwrap())
            .collect();
        ids.dedup();
        ids
    }

    /// What was found under this id, in words.
    pub(super) fn what(&self, id: &str) -> String {
        let found: Vec<_> = self
            .checks()
            .iter()
            .filter(|check| check["id"] == id && check["state"] != "ok")
            .map(|check| format!("{}: {}", check["where"], check["what"]))
            .collect();
        found.join("\n")
    }

    /// No fault, nothing unproven; the exit code says so.
    pub(super) fn is_clean(&self) {
        assert_eq!(self.code, 0, "{self:#?}");
        assert_eq!(self.report["exit"], 0);
        assert!(self.ids("fault").is_empty(), "{self:#?}");
        assert!(self.ids("not_proven").is_empty(), "{self:#?}");
    }

    /// Exactly these are faults, each with a cure; the exit code says so.
    pub(super) fn finds(&self, ids: &[&str]) {
        assert_eq!(self.code, 1, "{self:#?}");
        assert_eq!(self.ids("fault"), ids, "{self:#?}");
        for check in self.checks() {
            let cured = check["cure"].as_str().is_some_and(|cure| !cure.is_empty());
            assert_eq!(cured, check["state"] != "ok", "{check}");
        }
    }
}

/// Only the reviewer's token lives, and the journal is empty.
pub(super) async fn nothing_is_left(world: &World, bao: &OpenBao) {
    let living = bao.living_policies().await.unwrap();
    assert_eq!(living, [["cofferdam-reviewer"]]);
    assert!(journal(world).is_empty());
}

/// A change as root, which must succeed.
pub(super) async fn change(bao: &OpenBao, method: &str, path: &str, body: Value) -> Value {
    let (status, answer) = bao.root(method, path, Some(body)).await.unwrap();
    assert!(
        (200..300).contains(&status),
        "{method} {path}: {status} {answer}"
    );
    answer
}
