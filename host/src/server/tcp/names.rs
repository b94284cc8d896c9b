//! The name of a caller, from its certificate.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// The longest name, in bytes. A SPIFFE id may have 2,048; those in use have a
/// tenth of this.
const MAX_NAME: usize = 512;

/// Before a DNS name.
const DNS: &str = "dns:";

/// Before a common name.
const COMMON: &str = "cn:";

/// The one name of a certificate: its URI, such as a SPIFFE id; without one
/// `dns:` and its first DNS name; without one `cn:` and its common name.
///
/// None when it has no such name, two URIs or two common names (which of them
/// would count is nothing to guess), or one that could be taken for another
/// kind's or is not plain text.
pub(super) fn name(der: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()?;
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let is_uri = |name: &GeneralName<'_>| matches!(name, GeneralName::URI(_));
    let name = match names.iter().filter(|name| is_uri(name)).count() {
        0 => None,
        1 => names.iter().find_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        }),
        _ => return None,
    };
    if let Some(uri) = name {
        return uri_name(uri);
    }
    let dns = names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) => Some(format!("{DNS}{}", name.to_ascii_lowercase())),
        _ => None,
    });
    let name = match dns {
        Some(name) => name,
        None => {
            let mut common = certificate.subject().iter_common_name();
            let (Some(one), None) = (common.next(), common.next()) else {
                return None;
            };
            format!("{COMMON}{}", one.as_str().ok()?)
        }
    };
    is_plain(&name).then_some(name)
}

fn uri_name(uri: String) -> Option<String> {
    let (scheme, rest) = uri.split_once(':')?;
    let is_ours = [DNS, COMMON]
        .iter()
        .any(|kind| kind.trim_end_matches(':').eq_ignore_ascii_case(scheme));
    let is_name = !is_ours && !scheme.is_empty() && !rest.is_empty() && uri.is_ascii();
    (is_name && is_plain(&uri)).then_some(uri)
}

/// Nothing that a rule's pattern or a line of the audit could be confused by.
fn is_plain(name: &str) -> bool {
    let after_kind = name.split_once(':').map_or("", |(_, rest)| rest);
    !after_kind.trim().is_empty()
        && name.len() <= MAX_NAME
        && !name.chars().any(|c| c.is_control() || c == '*')
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    fn named(common: &[&str], names: &[SanType]) -> Option<String> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for one in common {
            params.distinguished_name.push(DnType::CommonName, *one);
        }
        params.subject_alt_names = names.to_vec();
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        name(made.der())
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(Ia5String::try_from(text).unwrap())
    }

    fn dns(text: &str) -> SanType {
        SanType::DnsName(Ia5String::try_from(text).unwrap())
    }

    #[test]
    fn a_certificate_has_one_name() {
        let id = "spiffe://example.org/airflow/worker";
        for (common, names, told) in [
            ("x", vec![dns("a.example"), uri(id)], Some(id)),
            (
                "x",
                vec![dns("A.example"), dns("b.example")],
                Some("dns:a.example"),
            ),
            ("x", vec![], Some("cn:x")),
            ("dns:a.example", vec![], Some("cn:dns:a.example")),
            // Two that might both be meant.
            ("x", vec![uri(id), uri("spiffe://example.org/other")], None),
            // One that would pass for another kind's.
            ("y", vec![uri("cn:x")], None),
            ("y", vec![uri("DNS:a.example")], None),
            // Names of many, and of nobody.
            ("x", vec![dns("*.example")], None),
            ("*", vec![], None),
            ("x\ny", vec![], None),
            (" ", vec![], None),
            ("x", vec![uri("spiffe:")], None),
        ] {
            assert_eq!(
                named(&[common], &names).as_deref(),
                told,
                "{common:?} {names:?}"
            );
        }
        assert_eq!(named(&[], &[]), None);
        let long = "x".repeat(MAX_NAME);
        assert_eq!(named(&["x"], &[uri(&format!("spiffe://{long}"))]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = name(&CertificateDer::from(bytes.clone()));
            let _ = name(&CertificateDer::from([&[0x30, 0x82, 0, 90][..], &bytes].concat()));
        }

        #[test]
        fn a_name_is_of_its_own_kind(common in ".{0,40}", domain in "[ -~]{1,40}") {
            if let Some(name) = named(&[&common], &[]) {
                proptest::prop_assert_eq!(name, format!("cn:{common}"));
            }
            if let Some(name) = named(&[&common], &[dns(&domain)]) {
                proptest::prop_assert_eq!(name, format!("dns:{}", domain.to_ascii_lowercase()));
            }
            if let Some(name) = named(&[&common], &[uri(&domain)]) {
                proptest::prop_assert!(!name.starts_with("cn:") && !name.starts_with("dns:"));
                proptest::prop_assert_eq!(name, domain);
            }
        }
    }
}
