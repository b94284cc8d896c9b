//! A server with a mount that knows this host's key, and a policy that names
//! the DAG.

use std::collections::BTreeMap;
use std::time::Duration;

use cofferdam::digest::Digest;
use cofferdam::identity::{Assurance, Identity, IdentityParts};
use cofferdam::scrub::SecretSet;
use cofferdam::vault::identity::{Clock, JwtLogin, Keyring};
use cofferdam::vault::path::KvPath;
use cofferdam::vault::policy::JwtRole;
use cofferdam::vault::{
    AttemptAuthority, Circle, Session, Vault, VaultConfig, VaultError, attempt_life,
};
use serde_json::{Value, json};

use crate::vault::world::World;

pub(super) const MOUNT: &str = "cofferdam-jwt";
pub(super) const ISSUER: &str = "https://cofferdam.example.com";
pub(super) const AUDIENCE: &str = "vault.example.com";
/// The time limit of every attempt here.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// DAGs with a secret each, at `secret/dags/<dag>/api`. The third differs from
/// the first in case alone.
pub(super) const DAGS: [&str; 3] = ["billing", "payroll", "Billing"];

/// What a test needs.
pub(super) struct Stage {
    pub(super) world: World,
}

impl Stage {
    /// The role `any` admits every JWT of this host, with the policy
    /// `cofferdam-dag`.
    pub(super) async fn set() -> Self {
        let stage = Self {
            world: World::start().await,
        };
        stage
            .write(&format!("sys/auth/{MOUNT}"), json!({"type": "jwt"}))
            .await;
        let keys = stage.keyring().public_keys().unwrap();
        stage.trust(&keys.pem()).await;
        let (_, mounts) = stage.world.root("GET", "sys/auth", None).await;
        let accessor = mounts["data"][format!("{MOUNT}/")]["accessor"].as_str();
        let policy = format!(
            "path \"secret/data/dags/{{{{identity.entity.aliases.{}.metadata.dag_id}}}}/*\" {{\n  \
             capabilities = [\"read\"]\n}}\n",
            accessor.unwrap()
        );
        stage
            .write(
                "sys/policies/acl/cofferdam-dag",
                json!({ "policy": policy }),
            )
            .await;
        for dag in DAGS {
            let secret = json!({"data": {"token": format!("secret-of-{dag}")}});
            stage
                .write(&format!("secret/data/dags/{dag}/api"), secret)
                .await;
        }
        stage.role("any", json!({})).await;
        stage
    }

    pub(super) fn keyring(&self) -> Keyring {
        Keyring::new(None, &self.world.state())
    }

    /// The mount takes what these keys signed.
    pub(super) async fn trust(&self, pem: &str) {
        self.write(
            &format!("auth/{MOUNT}/config"),
            json!({"jwt_validation_pubkeys": pem, "bound_issuer": ISSUER}),
        )
        .await;
    }

    /// Writes a role as `cofferdam policy` does, with changes.
    pub(super) async fn role(&self, name: &str, changes: Value) {
        let policies = ["cofferdam-dag".parse().unwrap()].into();
        let life = attempt_life(DEADLINE).as_secs();
        let role = JwtRole::new(AUDIENCE, BTreeMap::new(), &policies, life);
        let mut role = serde_json::to_value(role).unwrap();
        // A role without bound claims cannot be empty about them.
        for (key, value) in changes.as_object().unwrap() {
            role[key] = value.clone();
        }
        self.write(&format!("auth/{MOUNT}/role/{name}"), role).await;
    }

    pub(super) async fn write(&self, path: &str, body: Value) {
        let (status, answer) = self.world.root("POST", path, Some(body)).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
    }

    pub(super) fn config(&self) -> VaultConfig {
        self.world.approle(&format!(
            "[identity]\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n"
        ))
    }

    pub(super) fn vault(&self) -> Vault {
        Vault::new(self.config(), &self.world.state()).unwrap()
    }

    /// A host whose clock is off by so many seconds.
    pub(super) fn vault_off_by(&self, seconds: i64) -> Vault {
        let clock =
            Clock::new(move || jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds));
        Vault::with_clock(self.config(), &self.world.state(), clock).unwrap()
    }

    /// How many log-ins of attempts the server answered with a token.
    pub(super) fn logged_in(&self) -> usize {
        let path = format!("auth/{MOUNT}/login");
        self.world.bao.tokens_made(&path).unwrap()
    }

    pub(super) async fn nothing_is_left(&self, vault: Vault) {
        vault.close().await;
        assert!(self.world.living().await.is_empty());
        assert_eq!(self.world.journal(), []);
    }
}

/// The identity of an attempt that nobody vouched for.
pub(super) fn identity(dag_id: &str) -> Identity {
    parts(dag_id).check().unwrap()
}

pub(super) fn parts(dag_id: &str) -> IdentityParts {
    IdentityParts {
        bundle: "main".to_owned(),
        dag_id: dag_id.to_owned(),
        task_id: "sync".to_owned(),
        run_id: "manual__2026-01-01T00:00:00+00:00".to_owned(),
        try_number: 2,
        map_index: -1,
        logical_date: None,
        assurance: Assurance::Claimed,
    }
}

/// An attempt of the task `sync` that logs in to this role.
pub(super) fn attempt(run: &str, role: &str, identity: Identity) -> AttemptAuthority {
    AttemptAuthority {
        run: run.to_owned(),
        task: "sync".parse().unwrap(),
        deadline: DEADLINE,
        meta: BTreeMap::new(),
        circle: Circle::new(&"sync".parse().unwrap(), Digest::of(b"grants"), &identity),
        jwt: Some(JwtLogin {
            mount: MOUNT.parse().unwrap(),
            role: role.parse().unwrap(),
            policies: ["cofferdam-dag".parse().unwrap()].into(),
            identity,
            component: Digest::of(b"component"),
        }),
    }
}

pub(super) async fn open(vault: &Vault, run: &str, dag_id: &str) -> Session {
    let opened = vault
        .open(attempt(run, "any", identity(dag_id)), &SecretSet::default())
        .await;
    opened.map_err(|error| format!("{error:?}")).unwrap()
}

/// The error of an attempt that must not open, and what the scrubber learnt.
pub(super) async fn refused(vault: &Vault, attempt: AttemptAuthority) -> VaultError {
    match vault.open(attempt, &SecretSet::default()).await {
        Ok(_) => panic!("the attempt opened"),
        Err(error) => error,
    }
}

/// Whether an attempt reads the secret of a DAG.
pub(super) async fn reads(session: &Session, dag: &str) -> bool {
    let path = KvPath::V2 {
        mount: "secret".parse().unwrap(),
        path: format!("dags/{dag}/api").parse().unwrap(),
        version: None,
    };
    match session.handle().kv(&path).await {
        Ok(answer) => {
            let token = answer.value.fields["token"].expose();
            assert_eq!(token, format!("secret-of-{dag}").as_bytes());
            true
        }
        Err(VaultError::Refused { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}
