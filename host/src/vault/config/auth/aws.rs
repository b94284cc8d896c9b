//! `[vault.auth.aws]`.

use std::fmt;

use serde::Deserialize;
use url::{Host, Url};

use super::mount;
use crate::vault::path::{VaultName, VaultPath};

/// `[vault.auth.aws]`: who this host is in AWS, shown by a request to AWS's STS
/// that only it can have signed. Vault sends that request, not we.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsConfig {
    /// Where the method is mounted, below `auth/`. Default `aws`.
    pub mount: VaultPath,
    /// The role to log in to.
    pub role: VaultName,
    /// Which Vault the request is signed for.
    pub server_id_header: ServerIdHeader,
    /// The region in whose name it is signed.
    pub region: AwsRegion,
    /// Whom it is addressed to. Default: STS of the region.
    pub sts_endpoint: StsEndpoint,
}

/// The value of `X-Vault-AWS-IAM-Server-ID`, which stands in the signed part of
/// the request: a Vault with another one cannot use it. 1 to 255 visible ASCII
/// characters.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ServerIdHeader(String);

impl ServerIdHeader {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ServerIdHeader {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then_some(Self(text))
            .ok_or("`server_id_header` has 1 to 255 visible ASCII characters without spaces")
    }
}

/// The name of a region, such as `eu-central-1`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AwsRegion(String);

impl AwsRegion {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The region's own STS.
    fn sts(&self) -> String {
        // China is a partition of its own, under another domain.
        let domain = match self.0.starts_with("cn-") {
            true => "amazonaws.com.cn",
            false => "amazonaws.com",
        };
        format!("https://sts.{}.{domain}/", self.0)
    }
}

impl TryFrom<String> for AwsRegion {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        fits.then_some(Self(text))
            .ok_or("`region` is a region's name, such as `eu-central-1`")
    }
}

/// `https://host[:port]/`, to which the signed request is addressed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct StsEndpoint(Url);

impl StsEndpoint {
    /// As text, with `/` at its end.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The value of the `Host` header.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

impl TryFrom<String> for StsEndpoint {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let rule = "`sts_endpoint` is `https://HOST[:PORT]`, without user, path, `?` or `#`";
        let url = Url::parse(&text).map_err(|_| rule)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none();
        let named = matches!(url.host(), Some(Host::Domain(_) | Host::Ipv4(_)));
        if url.scheme() == "https" && bare && named {
            Ok(Self(url))
        } else {
            Err(rule)
        }
    }
}

impl fmt::Display for StsEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `[vault.auth.aws]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAws {
    mount: Option<VaultPath>,
    role: VaultName,
    server_id_header: ServerIdHeader,
    region: AwsRegion,
    sts_endpoint: Option<StsEndpoint>,
}

impl RawAws {
    pub(super) fn parse(self) -> Result<AwsConfig, &'static str> {
        Ok(AwsConfig {
            mount: mount(self.mount, "aws")?,
            role: self.role,
            server_id_header: self.server_id_header,
            sts_endpoint: match self.sts_endpoint {
                Some(endpoint) => endpoint,
                None => self.region.sts().try_into()?,
            },
            region: self.region,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &str) -> Result<AwsConfig, String> {
        let head = "role = \"r\"\nserver_id_header = \"vault.example.com\"\n";
        let raw: RawAws =
            toml::from_str(&format!("{head}{lines}")).map_err(|e| e.message().to_owned())?;
        raw.parse().map_err(str::to_owned)
    }

    #[test]
    fn the_endpoint_is_the_regions_own() {
        for (lines, endpoint, host) in [
            (
                "region = \"eu-central-1\"",
                "https://sts.eu-central-1.amazonaws.com/",
                "sts.eu-central-1.amazonaws.com",
            ),
            (
                "region = \"cn-north-1\"",
                "https://sts.cn-north-1.amazonaws.com.cn/",
                "sts.cn-north-1.amazonaws.com.cn",
            ),
            (
                "region = \"us-east-1\"\nsts_endpoint = \"https://sts.example.com:8443\"",
                "https://sts.example.com:8443/",
                "sts.example.com:8443",
            ),
        ] {
            let config = parse(lines).expect("fine");
            assert_eq!(config.sts_endpoint.as_str(), endpoint);
            assert_eq!(config.sts_endpoint.host(), host);
        }
    }

    #[test]
    fn what_would_bend_the_request_is_refused() {
        for lines in [
            "",
            "region = \"\"",
            "region = \"eu-central-1.evil.example\"",
            "region = \"eu/../x\"",
            "region = \"eu-central-1\"\nsts_endpoint = \"http://sts.example.com\"",
            "region = \"eu-central-1\"\nsts_endpoint = \"https://u:p@sts.example.com\"",
            "region = \"eu-central-1\"\nsts_endpoint = \"https://sts.example.com/?Action=X\"",
            "region = \"eu-central-1\"\nsts_endpoint = \"https://sts.example.com/x\"",
            "region = \"eu-central-1\"\nserver_id = \"x\"",
        ] {
            assert!(parse(lines).is_err(), "{lines}");
        }
        assert!(ServerIdHeader::try_from("a b".to_owned()).is_err());
        assert!(ServerIdHeader::try_from("a\nb".to_owned()).is_err());
        assert!(ServerIdHeader::try_from(String::new()).is_err());
    }
}
