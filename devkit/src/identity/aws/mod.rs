//! What stands in for AWS and for Vault's log-in with it, which OpenBao lacks.
//!
//! Signatures are verified by moto, which knows users and roles and their keys;
//! `auth/aws/login` is a small server of ours before OpenBao. It checks what
//! Vault's own method checks, sends the signed request to moto as Vault sends
//! it to STS, and when moto names the role's ARN makes a real token in OpenBao.

mod cloud;
mod gate;

use std::time::Duration;

use anyhow::Result;

pub use cloud::AwsKey;
use cloud::Cloud;
use gate::Gate;
pub(super) use gate::client;

use crate::openbao::OpenBao;

/// A cloud with one user, and the server before OpenBao that trusts it.
/// Dropping it stops both.
pub struct Aws {
    cloud: Cloud,
    gate: Gate,
}

impl Aws {
    /// Starts both. The role `role` is bound to the user `user`; requests must
    /// be signed for `server_id` and addressed to `sts_endpoint`.
    pub async fn start(
        bao: &OpenBao,
        role: &str,
        user: &str,
        server_id: &str,
        sts_endpoint: &str,
    ) -> Result<Self> {
        let cloud = Cloud::start().await?;
        cloud.user(user).await?;
        let gate = Gate::start(gate::Settings {
            bao: bao.socket(),
            root_token: bao.root_token().to_owned(),
            cloud: cloud.address(),
            role: role.to_owned(),
            arn: cloud::arn(&format!("user/{user}")),
            server_id: server_id.to_owned(),
            sts_endpoint: sts_endpoint.to_owned(),
        })?;
        Ok(Self { cloud, gate })
    }

    /// The address to use for Vault's.
    pub fn address(&self) -> String {
        self.gate.address()
    }

    /// A new key of the user `user`, which is made if need be.
    pub async fn key(&self, user: &str) -> Result<AwsKey> {
        self.cloud.user(user).await?;
        self.cloud.key(user).await
    }

    /// A temporary key of the role `role`, which is made, as a machine has it.
    pub async fn assumed(&self, role: &str) -> Result<AwsKey> {
        self.cloud.assumed(role).await
    }

    /// From now on signatures are verified. Before that moto lets everybody do
    /// everything.
    pub async fn guard(&self) -> Result<()> {
        self.cloud.guard().await
    }

    /// From now on the role is bound to this principal instead, such as
    /// `user/worker-7` or `role/worker`.
    pub fn bind(&self, principal: &str) {
        self.gate
            .change(|settings| settings.arn = cloud::arn(principal));
    }

    /// From now on requests must be signed for this Vault.
    pub fn expect_server_id(&self, server_id: &str) {
        self.gate
            .change(|settings| settings.server_id = server_id.to_owned());
    }

    /// AWS's clock goes ahead of ours by so much.
    pub fn advance(&self, time: Duration) {
        self.gate.advance(time);
    }

    /// The container's endpoint, `http://127.0.0.1:PORT/credentials`: whoever
    /// shows this token gets this key.
    pub fn container(&self, token: &str, key: &AwsKey) -> String {
        self.gate.container(token, key)
    }

    /// A log-in by hand: the answer's body, whatever its status.
    pub async fn show(&self, body: &serde_json::Value) -> Result<serde_json::Value> {
        let address = format!("{}/v1/auth/aws/login", self.address());
        let answer = client()?.post(address).json(body).send().await?;
        Ok(answer.json().await?)
    }

    /// The bodies of all log-ins so far.
    pub fn log_ins(&self) -> Vec<Vec<u8>> {
        self.gate.log_ins()
    }
}
