//! Log-ins that show a JWT which somebody else signed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::mount;
use crate::secret::Privacy;
use crate::vault::path::{VaultName, VaultPath};

/// Where the kubelet puts a pod's token.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// `[vault.auth.jwt]`, `[vault.auth.kubernetes]`, `[vault.auth.gcp]` and
/// `[vault.auth.azure]`: a role, and a JWT in a file that is read anew at each
/// log-in, because whoever writes it rotates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtConfig {
    /// Which of the methods.
    pub method: JwtMethod,
    /// Where the method is mounted, below `auth/`. Default: its name.
    pub mount: VaultPath,
    /// The role to log in to.
    pub role: VaultName,
    /// The file that holds the JWT.
    pub jwt_file: PathBuf,
    /// Who may read the file.
    pub privacy: Privacy,
    /// For `azure`: which machine the JWT speaks of.
    pub machine: Option<AzureMachine>,
}

/// The methods that take a role and a JWT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "lowercase")]
pub enum JwtMethod {
    /// A JWT of any issuer that the mount trusts.
    Jwt,
    /// A pod's service-account token.
    Kubernetes,
    /// An identity token of a Google Cloud machine, or a JWT that a service
    /// account signed.
    Gcp,
    /// An access token of an Azure managed identity.
    Azure,
}

/// What `auth/azure/login` wants to know of the machine, word for word from
/// its instance metadata.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AzureMachine {
    /// The subscription.
    pub subscription_id: String,
    /// The resource group.
    pub resource_group_name: String,
    /// The name of a virtual machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vm_name: Option<String>,
    /// The name of a scale set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmss_name: Option<String>,
    /// The id of another resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
}

/// `[vault.auth.jwt]` and `[vault.auth.gcp]` as they are written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJwt {
    mount: Option<VaultPath>,
    role: VaultName,
    jwt_file: PathBuf,
}

/// `[vault.auth.kubernetes]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKubernetes {
    mount: Option<VaultPath>,
    role: VaultName,
    jwt_file: Option<PathBuf>,
}

/// `[vault.auth.azure]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAzure {
    mount: Option<VaultPath>,
    role: VaultName,
    jwt_file: PathBuf,
    machine: AzureMachine,
}

impl RawJwt {
    pub(super) fn parse(self, method: JwtMethod) -> Result<JwtConfig, &'static str> {
        Ok(JwtConfig {
            method,
            mount: mount(self.mount, &method.to_string())?,
            role: self.role,
            jwt_file: self.jwt_file,
            privacy: Privacy::Secret,
            machine: None,
        })
    }
}

impl RawKubernetes {
    pub(super) fn parse(self) -> Result<JwtConfig, &'static str> {
        // The kubelet makes its own file readable for every user of the
        // container; a file that the operator names is held to our rule.
        let (jwt_file, privacy) = match self.jwt_file {
            Some(file) => (file, Privacy::Secret),
            None => (SERVICE_ACCOUNT_TOKEN.into(), Privacy::Public),
        };
        Ok(JwtConfig {
            method: JwtMethod::Kubernetes,
            mount: mount(self.mount, "kubernetes")?,
            role: self.role,
            jwt_file,
            privacy,
            machine: None,
        })
    }
}

impl RawAzure {
    pub(super) fn parse(self) -> Result<JwtConfig, &'static str> {
        let machine = self.machine;
        let named = [&machine.vm_name, &machine.vmss_name, &machine.resource_id];
        if named.into_iter().flatten().count() != 1 {
            return Err("`machine` needs exactly one of `vm_name`, `vmss_name` and `resource_id`");
        }
        Ok(JwtConfig {
            method: JwtMethod::Azure,
            mount: mount(self.mount, "azure")?,
            role: self.role,
            jwt_file: self.jwt_file,
            privacy: Privacy::Secret,
            machine: Some(machine),
        })
    }
}
