//! The server's address.

use std::fmt;
use std::net::IpAddr;

use serde::Deserialize;
use url::{Host, Url};

/// `http(s)://host[:port][/prefix]`, without user, query or fragment and
/// without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct VaultAddress(Url);

/// A text that cannot be a [`VaultAddress`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address of Vault is not acceptable: {0}")]
pub struct InvalidAddress(&'static str);

impl VaultAddress {
    /// The address as a URL.
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// True for `https`.
    pub fn encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// True when the host is this machine by its name `localhost` or a
    /// loopback address. A name is not resolved here.
    pub fn loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
            None => false,
        }
    }
}

impl TryFrom<String> for VaultAddress {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        // The text itself is not echoed: it may hold `user:password@`.
        let mut url = Url::parse(&text).map_err(|_| {
            InvalidAddress("expected a URL such as `https://vault.example.com:8200`")
        })?;
        let rule = if !matches!(url.scheme(), "http" | "https") {
            "only `https://` and `http://` are known"
        } else if url.host().is_none() {
            "it names no host"
        } else if !url.username().is_empty() || url.password().is_some() {
            "it must not hold a user name or a password"
        } else if url.query().is_some() || url.fragment().is_some() {
            "it must not hold `?` or `#`"
        } else if url.path().trim_end_matches('/').ends_with("/v1") {
            "leave out `/v1`: it is added to each request"
        } else {
            let path = url.path().trim_end_matches('/').to_owned();
            url.set_path(&path);
            return Ok(Self(url));
        };
        Err(InvalidAddress(rule))
    }
}

impl fmt::Display for VaultAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A URL without a path prints with `/`; people write it without.
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// One or more addresses of one cluster, in the order in which they are asked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Addresses {
    first: VaultAddress,
    others: Vec<VaultAddress>,
}

/// The most nodes that make sense: every one may have to be asked in turn.
const MAX_ADDRESSES: usize = 16;

impl Addresses {
    /// The preferred one, by whose name journals know the cluster.
    pub fn first(&self) -> &VaultAddress {
        &self.first
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &VaultAddress> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

impl From<VaultAddress> for Addresses {
    fn from(address: VaultAddress) -> Self {
        Self {
            first: address,
            others: Vec::new(),
        }
    }
}

impl TryFrom<Vec<String>> for Addresses {
    type Error = InvalidAddress;

    fn try_from(texts: Vec<String>) -> Result<Self, Self::Error> {
        let count = InvalidAddress("`addresses` needs 1 to 16 of them");
        if texts.len() > MAX_ADDRESSES {
            return Err(count);
        }
        let mut texts = texts.into_iter();
        let mut addresses = Self::from(VaultAddress::try_from(texts.next().ok_or(count)?)?);
        for text in texts {
            let address = VaultAddress::try_from(text)?;
            if addresses.iter().any(|known| *known == address) {
                return Err(InvalidAddress("it is listed twice"));
            }
            addresses.others.push(address);
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<VaultAddress, InvalidAddress> {
        text.to_owned().try_into()
    }

    #[test]
    fn keeps_the_prefix_and_drops_the_slash() {
        assert_eq!(
            parse("https://v.example.com:8200/")
                .expect("fine")
                .to_string(),
            "https://v.example.com:8200"
        );
        assert_eq!(
            parse("https://v.example.com/vault/")
                .expect("fine")
                .to_string(),
            "https://v.example.com/vault"
        );
    }

    #[test]
    fn knows_loopback() {
        for yes in [
            "http://127.0.0.1:1",
            "http://127.9.9.9",
            "http://[::1]:8200",
            "http://localhost",
        ] {
            assert!(parse(yes).expect("fine").loopback(), "{yes}");
        }
        for no in ["http://10.0.0.1", "http://localhost.example.com"] {
            assert!(!parse(no).expect("fine").loopback(), "{no}");
        }
    }

    #[test]
    fn refuses_what_is_ambiguous_and_echoes_no_password() {
        for bad in [
            "vault",
            "ftp://v",
            "https://u:hunter2@v",
            "https://v/?a=b",
            "https://v/#x",
            "https://v/v1",
        ] {
            let message = parse(bad).expect_err(bad).to_string();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
