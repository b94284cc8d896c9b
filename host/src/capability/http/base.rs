//! The base address of a grant.

use url::Url;

use crate::capability::field::{FieldError, shown};
use crate::capability::network::{Network, check_host};

/// Parses `base`: one spelling, nothing that a parser would rewrite.
pub(super) fn parse(text: &str, plain: bool, network: Network) -> Result<Url, FieldError> {
    let refuse = |problem: String| FieldError::new("base", problem);
    let url = Url::parse(text).map_err(|_| {
        refuse(format!(
            "is `{}`, which is not an address; write it like `https://api.example.com/v1/`",
            shown(text)
        ))
    })?;
    match url.scheme() {
        "https" => {}
        "http" if plain => {}
        "http" => {
            return Err(refuse(
                "is plain http; use https, or set `plain = true` to send the credential unencrypted".to_owned(),
            ));
        }
        _ => return Err(refuse("must begin with `https://`".to_owned())),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "holds a user name or password; take them from Vault with `credential`".to_owned(),
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse(
            "must have no `?query` and no `#fragment`".to_owned(),
        ));
    }
    if !url.path().ends_with('/') {
        return Err(refuse(format!("must end in `/`; write `{}/`", shown(text))));
    }
    // Upper case, default ports, dots, octal addresses, IDN: whatever the
    // parser had to rewrite, somebody else may read differently.
    if url.as_str() != text {
        return Err(refuse(format!(
            "is not in its plain form; write `{}`",
            shown(url.as_str())
        )));
    }
    check_path(url.path())?;
    let host = url.host().ok_or_else(|| refuse("has no host".to_owned()))?;
    check_host("base", &host, network)?;
    Ok(url)
}

fn check_path(path: &str) -> Result<(), FieldError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&()*+,=:@/".contains(&b);
    if path.contains("//") || !path.bytes().all(plain) {
        return Err(FieldError::new(
            "base",
            "has a path with an empty segment, an escape or `;`; use plain letters, digits and `- . _ ~`",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_addresses_are_taken() {
        for (text, plain, network) in [
            ("https://api.example.com/v1/", false, Network::Public),
            ("https://api.example.com:8443/", false, Network::Public),
            ("https://api.example.com/", false, Network::Private),
            ("http://127.0.0.1:9000/v1/", true, Network::Loopback),
            ("http://[::1]:9000/", true, Network::Loopback),
            ("http://localhost:9000/", true, Network::Loopback),
            ("https://10.1.2.3/", false, Network::Private),
            ("https://1.1.1.1/", false, Network::Public),
            ("https://xn--bcher-kva.example/", false, Network::Public),
        ] {
            assert!(parse(text, plain, network).is_ok(), "{text}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "api.example.com",
            "ftp://api.example.com/",
            "https://API.example.com/",
            "https://api.example.com",
            "https://api.example.com/v1",
            "https://api.example.com:443/",
            "https://user@api.example.com/",
            "https://u:p@api.example.com/",
            "https://api.example.com/?a=b",
            "https://api.example.com/#x",
            "https://api.example.com./",
            "https://api.example.com/a/../b/",
            "https://api.example.com/a//b/",
            "https://api.example.com/a%2Fb/",
            "https://api.example.com/a;b/",
            "https:\\\\api.example.com\\",
            " https://api.example.com/",
            "https://api.example.com/\n",
            "https://b\u{fc}cher.example/",
            "https://a_b.example/",
            "https://a..b/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://127.0.0.1/",
            "https://169.254.169.254/",
            "https://[::]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[fe80::1]/",
            "https://[fe80::1%25eth0]/",
            "https://localhost/",
            "https://a.localhost/",
            "https://10.0.0.1/",
            "https:///v1/",
        ] {
            assert!(parse(text, false, Network::Public).is_err(), "{text:?}");
        }
        assert!(parse("http://api.example.com/", false, Network::Public).is_err());
        assert!(parse("http://api.example.com/", true, Network::Public).is_ok());
    }

    #[test]
    fn the_message_names_the_cure() {
        let message = |text| parse(text, false, Network::Public).unwrap_err().to_string();
        assert_eq!(
            message("https://API.example.com/"),
            "`base` is not in its plain form; write `https://api.example.com/`"
        );
        assert_eq!(
            message("https://127.0.0.1/"),
            "`base` lies in another network than `network` allows; it needs `network = \"loopback\"`"
        );
    }
}
