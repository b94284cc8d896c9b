//! The `[server.tcp]` table: callers who are not on this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use super::JwtConfig;
use crate::config::value::bounded;

/// Where the service listens beside its socket, as whom, and how it tells its
/// callers apart. Exists only with a way to do so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub struct TcpConfig {
    /// The address; port 0 takes one that is free.
    pub listen: SocketAddr,
    /// The service's certificate and those that vouch for it, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// Whose certificates callers may show, PEM; none when they show none.
    pub client_ca: Option<PathBuf>,
    /// `[server.tcp.jwt]`; none when no token is taken.
    pub jwt: Option<JwtConfig>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(deserialize_with = "address")]
    listen: SocketAddr,
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    jwt: Option<JwtConfig>,
}

impl TryFrom<Table> for TcpConfig {
    type Error = &'static str;

    fn try_from(table: Table) -> Result<Self, Self::Error> {
        if table.client_ca.is_none() && table.jwt.is_none() {
            return Err(
                "`client_ca` is missing, and [server.tcp.jwt] too: anybody could call; set one of the two, or both",
            );
        }
        Ok(Self {
            listen: table.listen,
            certificate: table.certificate,
            key: table.key,
            client_ca: table.client_ca,
            jwt: table.jwt,
        })
    }
}

impl TcpConfig {
    /// Makes the paths absolute; `root` is the folder of the file.
    pub(super) fn resolve(&mut self, root: &Path) {
        let Self {
            certificate,
            key,
            client_ca,
            jwt,
            ..
        } = self;
        *certificate = root.join(&*certificate);
        *key = root.join(&*key);
        if let Some(file) = client_ca {
            *file = root.join(&*file);
        }
        if let Some(jwt) = jwt {
            jwt.resolve(root);
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!(
            "`{}` is not an address with a port\nwrite one such as `127.0.0.1:8443`, `0.0.0.0:8443` or \
             `[::]:8443`; names are not looked up",
            bounded(&text)
        ))
    })
}
