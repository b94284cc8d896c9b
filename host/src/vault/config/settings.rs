//! The table as a whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::ServerName;
use serde::Deserialize;

use super::{Addresses, AuthConfig, CredentialFile, IdentityConfig, VaultAddress};
use crate::secret::Privacy;
use crate::vault::path::{VaultName, VaultPath};

/// The token role that attempts are minted through, unless configured.
const DEFAULT_TOKEN_ROLE: &str = "cofferdam";

/// Time for one request, unless configured.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// What `timeout` may be: under a second an ordinary log-in may not fit; over
/// five minutes a dead server would hold up a worker for nothing.
const TIMEOUT_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(300);

/// The `[vault]` part of `cofferdam.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawVault")]
pub struct VaultConfig {
    /// Where the cluster is: its nodes in the order of preference.
    pub addresses: Addresses,
    /// Whether a node must say that it is healthy before a task starts.
    /// Default true.
    pub require_healthy: bool,
    /// The namespace of every request (Vault Enterprise, OpenBao). From this
    /// file only, never from a grant or a guest.
    pub namespace: Option<VaultPath>,
    /// PEM certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The name that the servers' certificates must carry instead of their
    /// address's.
    pub tls_server_name: Option<TlsServerName>,
    /// The certificate that this host shows.
    pub client_certificate: Option<ClientCertificate>,
    /// The token role that attempts are minted through. Default `cofferdam`.
    pub token_role: VaultName,
    /// Time for one request, from connecting to the last byte. Default 10 s.
    pub timeout: Duration,
    /// How this host logs in.
    pub auth: AuthConfig,
    /// As whom it vouches for attempts that log in as themselves.
    pub identity: Option<IdentityConfig>,
}

/// The files of a client certificate; both are read anew at each handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate and those that vouch for it, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// A name that a certificate can carry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TlsServerName(ServerName<'static>);

impl TlsServerName {
    /// As the TLS library takes it.
    pub fn as_rustls(&self) -> &ServerName<'static> {
        &self.0
    }
}

impl TryFrom<String> for TlsServerName {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        ServerName::try_from(text)
            .map(Self)
            .map_err(|_| "not a DNS name or an IP address")
    }
}

impl VaultConfig {
    /// Every file that proves who this host is.
    pub fn credential_files(&self) -> Vec<CredentialFile<'_>> {
        let mut files = self.auth.credential_files();
        if let Some(client) = &self.client_certificate {
            files.push(CredentialFile {
                field: "client_cert_file",
                path: &client.certificate,
                privacy: Privacy::Public,
            });
            files.push(CredentialFile {
                field: "client_key_file",
                path: &client.key,
                privacy: Privacy::Secret,
            });
        }
        files
    }

    /// Makes relative paths relative to this folder.
    pub fn resolve(&mut self, root: &Path) {
        if let Some(file) = &mut self.ca_file {
            *file = root.join(&*file);
        }
        if let Some(files) = &mut self.client_certificate {
            files.certificate = root.join(&files.certificate);
            files.key = root.join(&files.key);
        }
        self.auth.resolve(root);
        if let Some(identity) = &mut self.identity {
            identity.resolve(root);
        }
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawVault {
    address: Option<VaultAddress>,
    addresses: Option<Addresses>,
    require_healthy: Option<bool>,
    namespace: Option<VaultPath>,
    ca_file: Option<PathBuf>,
    tls_server_name: Option<TlsServerName>,
    client_cert_file: Option<PathBuf>,
    client_key_file: Option<PathBuf>,
    #[serde(default)]
    plain: bool,
    token_role: Option<VaultName>,
    timeout: Option<String>,
    auth: AuthConfig,
    identity: Option<IdentityConfig>,
}

/// Why the table as a whole is not acceptable.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidVault {
    #[error("exactly one of `address` and `addresses` is needed")]
    Address,
    #[error(
        "`address` is plain http to another machine, where a token can be read on the way: use `https://`, or say `plain = true`"
    )]
    Plain,
    #[error("`{0}` has no use for `http://` addresses")]
    UselessTls(&'static str),
    #[error("`client_cert_file` and `client_key_file` belong together")]
    HalfACertificate,
    #[error("`[vault.auth.cert]` needs `client_cert_file` and `client_key_file` in `[vault]`")]
    NoCertificate,
    #[error("`timeout` must be a duration from 1s to 5m, such as `10s`")]
    Timeout,
    #[error("`token_role`: {0}")]
    Name(#[from] crate::vault::path::InvalidVaultPath),
}

impl TryFrom<RawVault> for VaultConfig {
    type Error = InvalidVault;

    fn try_from(raw: RawVault) -> Result<Self, Self::Error> {
        let addresses = match (raw.address, raw.addresses) {
            (Some(address), None) => address.into(),
            (None, Some(addresses)) => addresses,
            _ => return Err(InvalidVault::Address),
        };
        let unprotected = |address: &VaultAddress| !address.encrypted() && !address.loopback();
        if !raw.plain && addresses.iter().any(unprotected) {
            return Err(InvalidVault::Plain);
        }
        if !addresses.iter().any(VaultAddress::encrypted) {
            let useless = [
                ("ca_file", raw.ca_file.is_some()),
                ("tls_server_name", raw.tls_server_name.is_some()),
                ("client_cert_file", raw.client_cert_file.is_some()),
            ];
            if let Some((field, _)) = useless.into_iter().find(|(_, written)| *written) {
                return Err(InvalidVault::UselessTls(field));
            }
        }
        let client_certificate = match (raw.client_cert_file, raw.client_key_file) {
            (Some(certificate), Some(key)) => Some(ClientCertificate { certificate, key }),
            (None, None) if matches!(raw.auth, AuthConfig::Cert(_)) => {
                return Err(InvalidVault::NoCertificate);
            }
            (None, None) => None,
            _ => return Err(InvalidVault::HalfACertificate),
        };
        let timeout = match raw.timeout {
            None => DEFAULT_TIMEOUT,
            Some(text) => humantime::parse_duration(&text)
                .ok()
                .filter(|timeout| TIMEOUT_RANGE.contains(timeout))
                .ok_or(InvalidVault::Timeout)?,
        };
        Ok(Self {
            addresses,
            require_healthy: raw.require_healthy.unwrap_or(true),
            namespace: raw.namespace,
            ca_file: raw.ca_file,
            tls_server_name: raw.tls_server_name,
            client_certificate,
            token_role: match raw.token_role {
                Some(role) => role,
                None => DEFAULT_TOKEN_ROLE.parse()?,
            },
            timeout,
            auth: raw.auth,
            identity: raw.identity,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPROLE: &str = "[auth.approle]\nrole_id = \"r\"\nsecret_id_file = \"secret-id\"\n";

    fn parse(head: &str, auth: &str) -> Result<VaultConfig, String> {
        toml::from_str(&format!("{head}\n{auth}")).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn defaults_and_relative_paths() {
        let mut config = parse("address = \"http://127.0.0.1:8200\"", APPROLE).expect("fine");
        assert_eq!(config.token_role.as_str(), "cofferdam");
        assert_eq!(config.timeout, Duration::from_secs(10));
        config.resolve(Path::new("/etc/cofferdam"));
        let AuthConfig::AppRole(approle) = &config.auth else {
            panic!("{:?}", config.auth)
        };
        assert_eq!(
            approle.secret_id_file,
            Path::new("/etc/cofferdam/secret-id")
        );
        assert_eq!(approle.mount.as_str(), "approle");
    }

    #[test]
    fn plain_http_needs_a_word() {
        let head = "address = \"http://vault.example.com:8200\"";
        let refused = parse(head, APPROLE).expect_err("plain");
        assert!(refused.contains("plain = true"), "{refused}");
        parse(&format!("{head}\nplain = true"), APPROLE).expect("said so");
        parse("address = \"https://vault.example.com\"", APPROLE).expect("encrypted");
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let good = "address = \"https://v\"";
        let both = format!("{APPROLE}[auth.token_file]\npath = \"t\"\n");
        for (head, auth, word) in [
            (
                "address = \"https://v\"\nadress = 1",
                APPROLE,
                "unknown field",
            ),
            (good, "", "auth"),
            (good, "[auth]", "exactly one"),
            ("timeout = \"10s\"", APPROLE, "`addresses`"),
            (
                "address = \"https://v\"\naddresses = [\"https://w\"]",
                APPROLE,
                "exactly one",
            ),
            ("addresses = []", APPROLE, "1 to 16"),
            (
                "addresses = [\"https://v\", \"https://v/\"]",
                APPROLE,
                "twice",
            ),
            (
                "addresses = [\"https://v\", \"http://10.0.0.1\"]",
                APPROLE,
                "plain = true",
            ),
            (
                "address = \"https://v\"\nclient_cert_file = \"c\"",
                APPROLE,
                "belong together",
            ),
            (good, "[auth.cert]", "`client_cert_file`"),
            (
                "address = \"https://v\"\ntls_server_name = \"a b\"",
                APPROLE,
                "DNS name",
            ),
            (
                good,
                "[auth.userpass]\nusername = \"a/b\"\npassword_file = \"p\"",
                "user name",
            ),
            (good, "[auth.jwt]\nrole = \"r\"", "`jwt_file`"),
            (
                good,
                "[auth.azure]\nrole = \"r\"\njwt_file = \"j\"\n[auth.azure.machine]\nsubscription_id = \"s\"\nresource_group_name = \"g\"",
                "exactly one of `vm_name`",
            ),
            (good, both.as_str(), "exactly one"),
            (good, "[auth.approle]\nsecret_id_file = \"s\"", "`role_id`"),
            (good, "[auth.kerberos]\n", "unknown field"),
            ("address = \"https://v\"\ntimeout = \"1ms\"", APPROLE, "1s"),
            (
                "address = \"https://v\"\ntoken_role = \"a/b\"",
                APPROLE,
                "segment",
            ),
            (
                "address = \"http://127.0.0.1\"\nca_file = \"x\"",
                APPROLE,
                "ca_file",
            ),
            (
                "address = \"https://v\"\nnamespace = \"../x\"",
                APPROLE,
                "segments",
            ),
        ] {
            let message = parse(head, auth).expect_err(word);
            assert!(message.contains(word), "{message:?} names {word:?}");
        }
    }
}
