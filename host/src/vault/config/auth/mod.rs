//! `[vault.auth.*]`: how this host logs in.

mod approle;
mod aws;
mod jwt;
mod oidc;
mod password;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use approle::{AppRoleConfig, CreationPath, RoleId};
pub use aws::{AwsConfig, AwsRegion, ServerIdHeader, StsEndpoint};
pub use jwt::{AzureMachine, JwtConfig, JwtMethod};
pub use oidc::{CallbackPort, OidcConfig};
pub use password::{InvalidUserName, PasswordConfig, PasswordMethod, UserName};

use crate::secret::Privacy;
use crate::secret::VariableName;
use crate::vault::path::{VaultName, VaultPath};

/// The one way in which this host logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthConfig {
    /// `[vault.auth.approle]`.
    AppRole(AppRoleConfig),
    /// `[vault.auth.jwt]`, `[vault.auth.kubernetes]`, `[vault.auth.gcp]` and
    /// `[vault.auth.azure]`.
    Jwt(JwtConfig),
    /// `[vault.auth.userpass]`, `[vault.auth.ldap]`, `[vault.auth.okta]` and
    /// `[vault.auth.radius]`.
    Password(PasswordConfig),
    /// `[vault.auth.cert]`.
    Cert(CertConfig),
    /// `[vault.auth.aws]`.
    Aws(AwsConfig),
    /// `[vault.auth.oidc]`.
    Oidc(OidcConfig),
    /// `[vault.auth.token]`.
    Token(TokenConfig),
    /// `[vault.auth.token_file]`.
    TokenFile(TokenFileConfig),
}

/// `[vault.auth.token_file]`: for development and for agents' sinks. The token
/// belongs to whoever wrote the file: it is read anew at each log-in, never
/// journalled and never revoked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenFileConfig {
    /// The file.
    pub path: PathBuf,
}

/// `[vault.auth.token]`: for development. The token stands in the environment,
/// never in this file; it belongs to whoever put it there, as with a token file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// The variable. Default `VAULT_TOKEN`.
    pub env: VariableName,
}

/// `[vault.auth.token]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawToken {
    env: Option<VariableName>,
}

/// `[vault.auth.cert]`: the client certificate of the connection, which
/// `client_cert_file` and `client_key_file` of `[vault]` name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertConfig {
    /// Where the method is mounted, below `auth/`. Default `cert`.
    pub mount: VaultPath,
    /// The role; without it Vault tries every role that fits the certificate.
    pub name: Option<VaultName>,
}

/// `[vault.auth.cert]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCert {
    mount: Option<VaultPath>,
    name: Option<VaultName>,
}

/// `[vault.auth]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAuth {
    approle: Option<approle::RawAppRole>,
    jwt: Option<jwt::RawJwt>,
    kubernetes: Option<jwt::RawKubernetes>,
    gcp: Option<jwt::RawJwt>,
    azure: Option<jwt::RawAzure>,
    userpass: Option<password::RawPassword>,
    ldap: Option<password::RawPassword>,
    okta: Option<password::RawPassword>,
    radius: Option<password::RawPassword>,
    cert: Option<RawCert>,
    aws: Option<aws::RawAws>,
    oidc: Option<oidc::RawOidc>,
    token: Option<RawToken>,
    token_file: Option<TokenFileConfig>,
}

/// A file that takes part in the log-in.
#[derive(Debug, Clone, Copy)]
pub struct CredentialFile<'a> {
    /// The field that names it.
    pub field: &'static str,
    /// Where it is.
    pub path: &'a Path,
    /// Who may read it.
    pub privacy: Privacy,
}

impl AuthConfig {
    /// The files that the log-in reads.
    pub fn credential_files(&self) -> Vec<CredentialFile<'_>> {
        let file = |field, path, privacy| CredentialFile {
            field,
            path,
            privacy,
        };
        match self {
            Self::AppRole(approle) => {
                let mut files = Vec::new();
                if let RoleId::File(path) = &approle.role_id {
                    files.push(file("role_id_file", path.as_path(), Privacy::Public));
                }
                let secret = approle.secret_id_file.as_path();
                files.push(file("secret_id_file", secret, Privacy::Secret));
                files
            }
            Self::Jwt(jwt) => vec![file("jwt_file", &jwt.jwt_file, jwt.privacy)],
            Self::Password(password) => {
                let path = &password.password_file;
                vec![file("password_file", path, Privacy::Secret)]
            }
            Self::TokenFile(token) => vec![file("path", &token.path, Privacy::Secret)],
            Self::Oidc(oidc) => vec![file("token_file", &oidc.token_file, Privacy::Secret)],
            // Its files belong to the connection, or to the AWS SDK; or it has none.
            Self::Cert(_) | Self::Aws(_) | Self::Token(_) => Vec::new(),
        }
    }

    /// Whether the token is somebody else's, who made it and ends it.
    pub fn is_lent(&self) -> bool {
        match self {
            Self::TokenFile(_) | Self::Token(_) | Self::Oidc(_) => true,
            Self::AppRole(_) | Self::Jwt(_) | Self::Password(_) | Self::Cert(_) | Self::Aws(_) => {
                false
            }
        }
    }

    /// Whether logging in uses up the credential, so that no other process can.
    pub fn is_used_up(&self) -> bool {
        matches!(self, Self::AppRole(approle) if approle.wrapped)
    }

    /// Makes relative paths relative to this folder.
    pub(super) fn resolve(&mut self, root: &Path) {
        let file = match self {
            Self::AppRole(approle) => {
                if let RoleId::File(path) = &mut approle.role_id {
                    *path = root.join(&*path);
                }
                &mut approle.secret_id_file
            }
            Self::Jwt(jwt) => &mut jwt.jwt_file,
            Self::Password(password) => &mut password.password_file,
            Self::TokenFile(token) => &mut token.path,
            Self::Oidc(oidc) => &mut oidc.token_file,
            Self::Cert(_) | Self::Aws(_) | Self::Token(_) => return,
        };
        *file = root.join(&*file);
    }
}

impl<'de> Deserialize<'de> for AuthConfig {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawAuth::deserialize(deserializer)?;
        let password = |raw: Option<password::RawPassword>, method| {
            raw.map(|raw| raw.parse(method).map(Self::Password))
        };
        let mut methods = [
            raw.approle.map(|raw| raw.parse().map(Self::AppRole)),
            raw.jwt.map(|raw| raw.parse(JwtMethod::Jwt).map(Self::Jwt)),
            raw.kubernetes.map(|raw| raw.parse().map(Self::Jwt)),
            raw.gcp.map(|raw| raw.parse(JwtMethod::Gcp).map(Self::Jwt)),
            raw.azure.map(|raw| raw.parse().map(Self::Jwt)),
            password(raw.userpass, PasswordMethod::Userpass),
            password(raw.ldap, PasswordMethod::Ldap),
            password(raw.okta, PasswordMethod::Okta),
            password(raw.radius, PasswordMethod::Radius),
            raw.cert.map(|raw| {
                Ok(Self::Cert(CertConfig {
                    mount: mount(raw.mount, "cert")?,
                    name: raw.name,
                }))
            }),
            raw.aws.map(|raw| raw.parse().map(Self::Aws)),
            raw.oidc.map(|raw| raw.parse().map(Self::Oidc)),
            raw.token.map(|raw| raw.parse().map(Self::Token)),
            raw.token_file.map(|raw| Ok(Self::TokenFile(raw))),
        ]
        .into_iter()
        .flatten();
        match (methods.next(), methods.next()) {
            (Some(method), None) => method.map_err(serde::de::Error::custom),
            _ => Err(serde::de::Error::custom(
                "exactly one log-in is needed, such as `[vault.auth.approle]`; docs/VAULT.md lists them",
            )),
        }
    }
}

impl RawToken {
    fn parse(self) -> Result<TokenConfig, &'static str> {
        Ok(TokenConfig {
            env: match self.env {
                Some(env) => env,
                None => "VAULT_TOKEN".to_owned().try_into()?,
            },
        })
    }
}

/// The mount as written, or the method's usual one.
fn mount(written: Option<VaultPath>, usual: &str) -> Result<VaultPath, &'static str> {
    match written {
        Some(mount) => Ok(mount),
        None => usual.parse().map_err(|_| "the default mount is malformed"),
    }
}
