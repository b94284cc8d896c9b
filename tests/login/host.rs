//! A server with the host's policy and token role but without a log-in, and
//! the host's folder beside it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use cofferdam::secret::Secret;
use cofferdam::vault::policy::{HOST_POLICY, TokenRole, host_policy};
use cofferdam::vault::{Admin, Vault, VaultConfig, VaultError};
use cofferdam_devkit::openbao::{DevOptions, OpenBao};
use cofferdam_devkit::process::private_folder;
use serde::Deserialize;
use tempfile::TempDir;

use crate::guide::{Section, section, type_in};
use crate::vault::world::{open, refused};

pub(super) struct Host {
    pub(super) bao: OpenBao,
    pub(super) folder: TempDir,
    /// What every `[vault]` says.
    pub(super) common: String,
}

impl Host {
    pub(super) async fn start() -> Self {
        Self::with(DevOptions::default()).await
    }

    pub(super) async fn with(options: DevOptions) -> Self {
        let bao = OpenBao::start_dev(options).unwrap();
        let folder = private_folder("login-test").unwrap();
        let common = format!("address = {:?}\n", bao.address());
        let host = Self {
            bao,
            folder,
            common,
        };
        // Any log-in will do for the address.
        let config = host.config("[vault.auth.token_file]\npath = \"none\"");
        let admin = Admin::connect(&config, Secret::new(host.bao.root_token())).unwrap();
        let role = "cofferdam".parse().unwrap();
        let hcl = host_policy(&role).to_hcl().unwrap();
        admin
            .put_policy(&HOST_POLICY.parse().unwrap(), &hcl)
            .await
            .unwrap();
        admin
            .put_token_role(&role, &TokenRole::standard())
            .await
            .unwrap();
        host
    }

    /// A private file in the host's folder.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// Types what a section of docs/VAULT.md says, and gives its settings.
    pub(super) fn follow(&self, title: &str) -> VaultConfig {
        self.follow_with(title, &[])
    }

    pub(super) fn follow_with(&self, title: &str, environment: &[(&str, &str)]) -> VaultConfig {
        let Section {
            shell, settings, ..
        } = section(title);
        assert!(!shell.is_empty(), "the section {title:?} has no commands");
        for block in shell {
            self.sh(&block, environment);
        }
        self.config(&settings[0])
    }

    pub(super) fn sh(&self, block: &str, environment: &[(&str, &str)]) {
        type_in(self.folder.path(), &self.bao, block, environment);
    }

    /// A block of settings with this server's address.
    pub(super) fn config(&self, block: &str) -> VaultConfig {
        let mut document: toml::Table = block.parse().unwrap();
        let vault = document["vault"].as_table_mut().unwrap();
        vault.extend(self.common.parse::<toml::Table>().unwrap());
        let mut config = VaultConfig::deserialize(document["vault"].clone()).unwrap();
        config.resolve(self.folder.path());
        config
    }

    pub(super) fn vault(&self, config: &VaultConfig) -> Vault {
        Vault::new(config.clone(), &self.state()).unwrap()
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// An attempt opens under a log-in, and both end.
    pub(super) async fn logs_in(&self, config: &VaultConfig) {
        let vault = self.vault(config);
        let session = open(&vault, "good").await;
        assert_eq!(self.bao.living().await.unwrap().len(), 2);
        assert!(session.close().await.complete);
        assert!(vault.close().await.expect("a log-in").complete);
        self.nothing_is_left().await;
    }

    /// The log-in is refused, in words that hold none of these.
    pub(super) async fn is_refused(&self, config: &VaultConfig, hidden: &[&str]) -> String {
        let vault = self.vault(config);
        let error = refused(&vault, "bad").await;
        assert!(matches!(error, VaultError::LoginRefused { .. }), "{error}");
        let hint = cofferdam::diagnostic::Diagnostic::hint(&error).unwrap();
        let shown = format!("{error} {error:?} {hint}");
        for secret in hidden {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(vault.close().await.is_none());
        self.nothing_is_left().await;
        hint
    }

    pub(super) async fn nothing_is_left(&self) {
        assert!(self.bao.living_policies().await.unwrap().is_empty());
        self.journal_is_empty();
    }

    pub(super) fn journal_is_empty(&self) {
        let written = cofferdam_devkit::journal::written(&self.state()).unwrap();
        assert!(written.is_empty(), "{written:?}");
    }
}
