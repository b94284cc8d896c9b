//! A server as an administrator leaves it, and what its root token sees.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cofferdam::digest::Digest;
use cofferdam::identity::{Assurance, IdentityParts};
use cofferdam::scrub::SecretSet;
use cofferdam::secret::Secret;
use cofferdam::vault::policy::{
    HOST_POLICY, PolicyCapability, PolicyRules, TokenRole, host_policy, task_policy_name,
};
use cofferdam::vault::{Admin, AttemptAuthority, Circle, Session, Vault, VaultConfig, VaultError};
use cofferdam_devkit::journal::{self, Record};
use cofferdam_devkit::openbao::{DevOptions, OpenBao, Provision, Provisioned};
use cofferdam_devkit::process::private_folder;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The secret that the tests read.
pub(crate) const CANARY: &str = "canary-4f1c9a0e7d";

/// A provisioned server, and a folder with the host's files and state.
pub(crate) struct World {
    pub(crate) bao: OpenBao,
    pub(crate) folder: TempDir,
    pub(crate) files: Provisioned,
}

impl World {
    /// A server with secrets, a transit key, the host's policy and role, and
    /// the policy of the task `billing`, all written as `cofferdam policy
    /// --write` does it.
    pub(crate) async fn start() -> Self {
        let bao = OpenBao::start_dev(DevOptions::default()).unwrap();
        let folder = private_folder("vault-test").unwrap();
        let what = Provision {
            kv2: vec![("billing", json!({"token": CANARY, "n": {"k": [1, true]}}))],
            kv1: vec![("billing", json!({"token": CANARY}))],
            transit: vec![("signer", "ed25519"), ("box", "aes256-gcm96")],
        };
        let files = bao.provision(&what, folder.path()).await.unwrap();
        let world = Self { bao, folder, files };
        let admin = world.admin();
        let role = "cofferdam".parse().unwrap();
        let hcl = host_policy(&role).to_hcl().unwrap();
        let name = HOST_POLICY.parse().unwrap();
        admin.put_policy(&name, &hcl).await.unwrap();
        let standard = TokenRole::standard();
        admin.put_token_role(&role, &standard).await.unwrap();
        let mut rules = PolicyRules::default();
        for path in [
            "secret/data/billing",
            "secret/data/gone",
            "kv1/billing",
            "kv1/gone",
        ] {
            rules.allow(path, PolicyCapability::Read);
        }
        for path in [
            "sign/signer",
            "verify/signer",
            "hmac/box",
            "encrypt/box",
            "decrypt/box",
        ] {
            rules.allow(format!("transit/{path}"), PolicyCapability::Update);
        }
        let name = task_policy_name(&"billing".parse().unwrap())
            .parse()
            .unwrap();
        let hcl = rules.to_hcl().unwrap();
        admin.put_policy(&name, &hcl).await.unwrap();
        world
    }

    pub(crate) fn admin(&self) -> Admin {
        let token = Secret::new(self.bao.root_token());
        Admin::connect(&self.approle(""), token).unwrap()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The records of the journal.
    pub(crate) fn journal(&self) -> Vec<Record> {
        journal::written(&self.state()).unwrap()
    }

    /// A private file beside the others.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// `[vault]` with AppRole and further lines of its table.
    pub(crate) fn approle(&self, lines: &str) -> VaultConfig {
        self.approle_with(&self.files.secret_id_file, lines)
    }

    pub(crate) fn approle_with(&self, secret_id_file: &Path, lines: &str) -> VaultConfig {
        config(&format!(
            "address = {:?}\n[auth.approle]\nrole_id_file = {:?}\nsecret_id_file = {:?}\n{lines}\n",
            self.bao.address(),
            self.files.role_id_file,
            secret_id_file,
        ))
    }

    pub(crate) fn token_file(&self, path: &Path) -> VaultConfig {
        config(&format!(
            "address = {:?}\n[auth.token_file]\npath = {path:?}\n",
            self.bao.address(),
        ))
    }

    pub(crate) fn vault(&self) -> Vault {
        Vault::new(self.approle(""), &self.state()).unwrap()
    }

    /// The accessors of all living tokens, the root token's excepted.
    pub(crate) async fn living(&self) -> BTreeSet<String> {
        let (_, body) = self.root("LIST", "auth/token/accessors", None).await;
        let mut living = BTreeSet::new();
        for accessor in body["data"]["keys"].as_array().unwrap() {
            let accessor = accessor.as_str().unwrap();
            let (status, body) = self.lookup(accessor).await;
            if status == 200 && body["data"]["policies"] != json!(["root"]) {
                living.insert(accessor.to_owned());
            }
        }
        living
    }

    pub(crate) async fn lookup(&self, accessor: &str) -> (u16, Value) {
        let body = json!({"accessor": accessor});
        self.root("POST", "auth/token/lookup-accessor", Some(body))
            .await
    }

    /// The accessors that the journal names.
    pub(crate) fn journalled(&self) -> BTreeSet<String> {
        let mut accessors = BTreeSet::new();
        for record in self.journal() {
            for line in record.text.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                accessors.extend(line["accessor"].as_str().map(str::to_owned));
            }
        }
        accessors
    }

    pub(crate) async fn root(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.bao.root(method, path, body).await.unwrap()
    }
}

/// Parses a `[vault]` table.
pub(crate) fn config(text: &str) -> VaultConfig {
    toml::from_str(text).unwrap()
}

/// An attempt of the task `billing`.
pub(crate) fn attempt(run: &str) -> AttemptAuthority {
    attempt_of(run, "", "billing")
}

/// One under a grants file with these bytes, for this DAG.
pub(crate) fn attempt_of(run: &str, grants: &str, dag_id: &str) -> AttemptAuthority {
    let task = "billing".parse().unwrap();
    let identity = IdentityParts {
        bundle: String::new(),
        dag_id: dag_id.to_owned(),
        task_id: "bill".to_owned(),
        run_id: run.to_owned(),
        try_number: 1,
        map_index: -1,
        logical_date: None,
        assurance: Assurance::Claimed,
    };
    let digest = Digest::of(grants.as_bytes());
    AttemptAuthority {
        run: run.to_owned(),
        circle: Circle::new(&task, digest, &identity.check().unwrap()),
        task,
        deadline: Duration::from_secs(60),
        meta: BTreeMap::from([("dag_id".to_owned(), "billing".to_owned())]),
        jwt: None,
    }
}

/// Opens an attempt of the task `billing`.
pub(crate) async fn open(vault: &Vault, run: &str) -> Session {
    try_open(vault, run)
        .await
        .map_err(|error| error.to_string())
        .unwrap()
}

pub(crate) async fn try_open(vault: &Vault, run: &str) -> Result<Session, VaultError> {
    vault.open(attempt(run), &SecretSet::default()).await
}

/// The error of an attempt that must not open.
pub(crate) async fn refused(vault: &Vault, run: &str) -> VaultError {
    match try_open(vault, run).await {
        Ok(_) => panic!("the attempt opened"),
        Err(error) => error,
    }
}
