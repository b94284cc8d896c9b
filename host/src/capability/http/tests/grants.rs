//! The `[http.NAME]` table.

use std::time::Duration;

use super::super::{HttpGrant, Injection};
use crate::capability::credential::CredentialSource;
use crate::capability::network::Network;
use crate::vault::policy::PolicyRules;

const BASE: &str = "base = \"https://billing.example.com/v1/\"\nallow = [\"GET invoices/**\"]\n";
const KV: &str =
    "credential = { kv2 = { mount = \"secret\", path = \"billing\", field = \"token\" } }\n";

fn parse(table: &str) -> Result<HttpGrant, String> {
    toml::from_str(table).map_err(|error: toml::de::Error| error.message().to_owned())
}

#[test]
fn a_grant_has_its_defaults() {
    let grant = parse(BASE).unwrap();
    assert!(grant.credential.is_none() && !grant.plain && grant.pass_headers.is_empty());
    assert_eq!(grant.network, Network::Public);
    assert_eq!(grant.timeout, Duration::from_secs(30));
    assert_eq!((grant.max_request, grant.max_response), (8 << 20, 8 << 20));
}

#[test]
fn the_three_ways_to_inject_are_read() {
    let header = parse(&format!(
        "{BASE}{KV}inject = {{ header = \"Authorization\", value = \"Bearer {{token}}\" }}"
    ))
    .unwrap();
    let credential = header.credential.as_ref().unwrap();
    assert!(
        matches!(&credential.inject, Injection::Header { name, .. } if name == "authorization")
    );
    let mut rules = PolicyRules::default();
    header.policy(&mut rules);
    assert_eq!(rules.0.keys().collect::<Vec<_>>(), ["secret/data/billing"]);
    let kv = "credential = { kv1 = { mount = \"kv\", path = \"a/b\" } }\n";
    let basic = parse(&format!(
        "{BASE}{kv}inject = {{ basic = {{ username = \"{{u}}\", password = \"{{p}}\" }} }}"
    ))
    .unwrap();
    assert!(matches!(
        basic.credential.unwrap().inject,
        Injection::Basic { .. }
    ));
    let query = parse(&format!(
        "{BASE}{kv}inject = {{ query = \"key\", value = \"{{p}}\" }}"
    ))
    .unwrap();
    assert!(matches!(
        query.credential.unwrap().inject,
        Injection::Query { .. }
    ));
}

/// [`KV`] with a `cache_ttl`.
fn kept(time: &str) -> String {
    KV.replace(" } }", &format!(", cache_ttl = \"{time}\" }} }}"))
}

#[test]
fn a_secret_is_shared_for_as_long_as_it_says() {
    let inject = "inject = { header = \"X-Key\", value = \"{token}\" }\n";
    for (kv, seconds) in [(KV.to_owned(), 0), (kept("0s"), 0), (kept("1m"), 60)] {
        let grant = parse(&format!("{BASE}{kv}{inject}")).unwrap();
        let CredentialSource::Kv { cache_ttl, .. } = grant.credential.unwrap().source else {
            panic!("another source")
        };
        assert_eq!(cache_ttl, Duration::from_secs(seconds), "{kv}");
    }
}

#[test]
fn a_wrong_table_names_field_and_cure() {
    let bearer = "inject = { header = \"Authorization\", value = \"Bearer {token}\" }\n";
    for (table, expected) in [
        (format!("{BASE}surprise = 1"), "unknown field `surprise`"),
        ("allow = [\"GET x\"]".to_owned(), "missing field `base`"),
        (
            "base = \"https://a.example/\"\nallow = []".to_owned(),
            "`allow` is empty",
        ),
        (format!("{BASE}{KV}"), "`inject` is missing"),
        (format!("{BASE}{bearer}"), "`credential` is missing"),
        (
            format!("{BASE}credential = {{}}\n{bearer}"),
            "`credential` names no engine or several",
        ),
        (
            format!("{BASE}{KV}inject = {{ header = \"X\", value = \"fixed\" }}"),
            "uses no field",
        ),
        (
            format!("{BASE}{KV}inject = {{ header = \"X\", value = \"{{other}}\" }}"),
            "allows `token` only",
        ),
        (
            format!("{BASE}{KV}inject = {{ header = \"Host\", value = \"{{token}}\" }}"),
            "cannot carry a credential",
        ),
        (
            format!("{BASE}{KV}inject = {{ header = \"X-Vault-Token\", value = \"{{token}}\" }}"),
            "cannot carry a credential",
        ),
        (
            format!("{BASE}{KV}inject = {{ header = \"a b\", value = \"{{token}}\" }}"),
            "no name of a header",
        ),
        (
            format!(
                "{BASE}{KV}inject = {{ header = \"X\", query = \"y\", value = \"{{token}}\" }}"
            ),
            "must be exactly one of",
        ),
        (
            format!("{BASE}{KV}inject = {{ query = \"a b\", value = \"{{token}}\" }}"),
            "a parameter's name",
        ),
        (
            format!("{BASE}timeout = \"2h\""),
            "expected a time up to 1h",
        ),
        (
            format!("{BASE}timeout = \"0s\""),
            "expected a time up to 1h",
        ),
        (
            format!("{BASE}max_response = \"1GiB\""),
            "expected a size up to 256MiB",
        ),
        (
            format!("{BASE}max_request = \"lots\""),
            "expected a size up to 256MiB",
        ),
        (format!("{BASE}network = \"everywhere\""), "unknown variant"),
        (
            format!("{BASE}pass_headers = [\"x-plain\"]"),
            "never held back",
        ),
        (
            format!("{BASE}{}{bearer}", KV.replace("billing", "../admin")),
            "segments are not allowed",
        ),
        (
            format!("{BASE}{}{bearer}", KV.replace("billing", "a*")),
            "only letters",
        ),
        (
            format!("{BASE}{}{bearer}", kept("61s")),
            "expected a time up to 60s",
        ),
        (
            format!("{BASE}{}{bearer}", kept("for ever")),
            "expected a time up to 60s",
        ),
        (BASE.replace("https", "http"), "set `plain = true`"),
    ] {
        let message = parse(&table).unwrap_err();
        assert!(
            message.contains(expected),
            "{table}\n→ {message}\nexpected {expected}"
        );
    }
}

#[test]
fn every_kind_of_source_is_read_and_needs_one_path() {
    for (credential, path) in [
        ("kv1 = { mount = \"kv\", path = \"a/b\" }", "kv/a/b"),
        ("kv2 = { mount = \"kv\", path = \"a/b\" }", "kv/data/a/b"),
        (
            "dynamic = { mount = \"database\", path = \"creds/reader\" }",
            "database/creds/reader",
        ),
        (
            "dynamic = { mount = \"rabbitmq\", path = \"creds/x\", refresh = \"refetch\" }",
            "rabbitmq/creds/x",
        ),
        (
            "static = { mount = \"database\", role = \"batch\" }",
            "database/static-creds/batch",
        ),
    ] {
        let grant = parse(&format!(
            "{BASE}credential = {{ {credential} }}\n\
             inject = {{ header = \"X\", value = \"{{password}}\" }}"
        ));
        let mut rules = PolicyRules::default();
        grant.unwrap().policy(&mut rules);
        assert_eq!(rules.0.keys().collect::<Vec<_>>(), [path]);
    }
}

#[test]
fn a_wrong_source_names_field_and_cure() {
    for (credential, expected) in [
        (
            "dynamic = { mount = \"database\", path = \"creds/*\" }",
            "only letters",
        ),
        ("dynamic = { mount = \"database\" }", "missing field `path`"),
        (
            "dynamic = { mount = \"d\", path = \"p\", refresh = \"maybe\" }",
            "expected `fail` or `refetch`",
        ),
        (
            "dynamic = { mount = \"d\", path = \"p\", version = 1 }",
            "unknown field `version`",
        ),
        (
            "static = { mount = \"database\", role = \"a/b\" }",
            "one segment",
        ),
        (
            "static = { mount = \"d\", role = \"r\", refresh = \"fail\" }",
            "unknown field `refresh`",
        ),
        (
            "static = { mount = \"d\", role = \"r\" }, kv1 = { mount = \"kv\", path = \"a\" }",
            "names no engine or several",
        ),
    ] {
        let table = format!(
            "{BASE}credential = {{ {credential} }}\n\
             inject = {{ header = \"X\", value = \"{{password}}\" }}"
        );
        let message = parse(&table).unwrap_err();
        assert!(message.contains(expected), "{table}\n→ {message}");
    }
}
