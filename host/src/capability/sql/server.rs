//! The server of a grant.

use std::fmt;
use std::path::PathBuf;

use url::Host;

use crate::capability::field::{FieldError, shown};
use crate::capability::network::{Network, check_host};

/// Where a database is: its server and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The way to the server.
    pub endpoint: Endpoint,
    /// The database's name.
    pub database: String,
}

/// The way to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Over the network.
    Tcp {
        /// A plain DNS name or an address.
        host: Host<String>,
        /// The port.
        port: u16,
    },
    /// Through a socket on this machine.
    Socket(PathBuf),
}

impl Server {
    /// Parses `host:port/database` and `unix:/folder:port/database`.
    pub(super) fn parse(text: &str, network: Network) -> Result<Self, FieldError> {
        let malformed = || {
            FieldError::new(
                "server",
                format!(
                    "is `{}`; write it like `db.example.com:5432/warehouse` or `unix:/run/postgresql:5432/warehouse`",
                    shown(text)
                ),
            )
        };
        let (place, database) = text.rsplit_once('/').ok_or_else(malformed)?;
        let (host, port) = place.rsplit_once(':').ok_or_else(malformed)?;
        let canonical = port
            .parse()
            .is_ok_and(|number: u16| number != 0 && number.to_string() == port);
        if !canonical {
            return Err(malformed());
        }
        let port: u16 = port.parse().map_err(|_| malformed())?;
        let endpoint = match host.strip_prefix("unix:") {
            Some(folder) if is_folder(folder) => {
                // PostgreSQL's own way to name its socket.
                Endpoint::Socket(format!("{folder}/.s.PGSQL.{port}").into())
            }
            Some(_) => {
                return Err(FieldError::new(
                    "server",
                    "names a socket's folder that is not an absolute path of plain letters, digits and `- . _`",
                ));
            }
            None => {
                let parsed = Host::parse(host).map_err(|_| malformed())?;
                // Upper case, octal addresses, IDN: whatever the parser had to
                // rewrite, somebody else may read differently.
                if parsed.to_string() != host {
                    return Err(FieldError::new(
                        "server",
                        format!("is not in its plain form; write the host as `{parsed}`"),
                    ));
                }
                check_host("server", &borrowed(&parsed), network)?;
                Endpoint::Tcp { host: parsed, port }
            }
        };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-".contains(&b);
        if !(1..=63).contains(&database.len()) || !database.bytes().all(plain) {
            return Err(FieldError::new(
                "server",
                format!(
                    "names the database `{}`; a name is 1 to 63 letters, digits and `_ -`",
                    shown(database)
                ),
            ));
        }
        Ok(Self {
            endpoint,
            database: database.to_owned(),
        })
    }

    /// True when the server is reached through a socket on this machine.
    pub fn is_local(&self) -> bool {
        matches!(self.endpoint, Endpoint::Socket(_))
    }
}

fn is_folder(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._/".contains(&b);
    text.starts_with('/')
        && text.bytes().all(plain)
        && text
            .split('/')
            .skip(1)
            .all(|part| !matches!(part, "" | "." | ".."))
}

fn borrowed(host: &Host<String>) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name),
        Host::Ipv4(address) => Host::Ipv4(*address),
        Host::Ipv6(address) => Host::Ipv6(*address),
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Endpoint::Tcp { host, port } => write!(f, "{host}:{port}/{}", self.database),
            Endpoint::Socket(path) => write!(f, "unix:{}/{}", path.display(), self.database),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, network: Network) -> Result<String, String> {
        Server::parse(text, network)
            .map(|server| server.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn plain_servers_are_taken() {
        for (text, network) in [
            ("db.example.com:5432/warehouse", Network::Public),
            ("db.example.com:5432/warehouse", Network::Private),
            ("10.1.2.3:5432/w-1", Network::Private),
            ("127.0.0.1:5433/W_1", Network::Loopback),
            ("[::1]:5433/app", Network::Loopback),
            ("localhost:5433/app", Network::Loopback),
        ] {
            assert_eq!(parse(text, network).as_deref(), Ok(text));
        }
        assert_eq!(
            parse("unix:/run/postgresql:5432/app", Network::Public).as_deref(),
            Ok("unix:/run/postgresql/.s.PGSQL.5432/app")
        );
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "db.example.com",
            "db.example.com/app",
            "db.example.com:5432",
            "db.example.com:5432/",
            "db.example.com:0/app",
            "db.example.com:05432/app",
            "db.example.com:99999/app",
            "db.example.com:5432/app?options=-c",
            "db.example.com:5432/a b",
            "db.example.com:5432/a'b",
            "postgres://db.example.com:5432/app",
            "user:password@db.example.com:5432/app",
            "DB.example.com:5432/app",
            "db.example.com.:5432/app",
            "127.1:5432/app",
            "2130706433:5432/app",
            "127.0.0.1:5432/app",
            "10.0.0.1:5432/app",
            "localhost:5432/app",
            "169.254.169.254:5432/app",
            "::1:5432/app",
            "a,b:5432/app",
            "unix:run:5432/app",
            "unix:/run/../etc:5432/app",
            "unix:/run//x:5432/app",
            "unix:/run/x/:5432/app",
        ] {
            assert!(parse(text, Network::Public).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_message_names_the_cure() {
        assert_eq!(
            parse("127.0.0.1:5432/app", Network::Public).unwrap_err(),
            "`server` lies in another network than `network` allows; it needs `network = \"loopback\"`"
        );
    }
}
