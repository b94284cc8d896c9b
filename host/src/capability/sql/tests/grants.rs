//! The `[sql.NAME]` table.

use std::time::Duration;

use super::super::SqlGrant;
use crate::vault::policy::PolicyRules;

const SERVER: &str = "server = \"db.example.com:5432/warehouse\"\n";
const KV: &str = "credential = { kv2 = { mount = \"secret\", path = \"warehouse\" } }\n";
const SCOPE: &str = "allow = [\"select\"]\ntables = [\"public.orders\"]\n";

fn parse(table: &str) -> Result<SqlGrant, String> {
    toml::from_str(table).map_err(|error: toml::de::Error| error.message().to_owned())
}

fn refused(rest: &str) -> String {
    parse(&format!("{SERVER}{KV}{SCOPE}{rest}")).unwrap_err()
}

#[test]
fn the_least_table_gets_the_defaults() {
    let grant = parse(&format!("{SERVER}{KV}{SCOPE}")).unwrap();
    assert!(!grant.plain && !grant.show_messages && !grant.audit_text);
    assert_eq!(grant.statement_timeout, Duration::from_secs(30));
    assert_eq!(grant.max_rows, 1_000_000);
    assert_eq!(grant.max_bytes, 64 << 20);
    assert_eq!(grant.max_connections, 1);
    let mut rules = PolicyRules::default();
    grant.policy(&mut rules);
    let paths: Vec<_> = rules.0.into_keys().collect();
    assert_eq!(paths, ["secret/data/warehouse"]);
}

#[test]
fn a_password_crosses_a_network_under_tls_only() {
    for network in ["", "network = \"private\"\n"] {
        let message = refused(&format!("{network}plain = true\n"));
        assert!(message.starts_with("`plain` is only for"), "{message}");
    }
    let place = |server: &str, rest: &str| {
        parse(&format!("server = \"{server}\"\n{KV}{SCOPE}{rest}")).map(|_| ())
    };
    assert_eq!(
        place(
            "127.0.0.1:5432/app",
            "network = \"loopback\"\nplain = true\n"
        ),
        Ok(())
    );
    assert_eq!(
        place("unix:/run/postgresql:5432/app", "plain = true\n"),
        Ok(())
    );
    let message = place("unix:/run/postgresql:5432/app", "").unwrap_err();
    assert!(message.starts_with("`plain` must be `true`"), "{message}");
}

#[test]
fn what_is_missing_or_out_of_range_is_named() {
    for (table, message) in [
        (
            format!("{SERVER}{KV}allow = []\ntables = [\"public.orders\"]\n"),
            "`allow` is empty",
        ),
        (
            format!("{SERVER}{KV}allow = [\"select\", \"select\"]\ntables = [\"public.orders\"]\n"),
            "`allow` names a verb twice",
        ),
        (
            format!("{SERVER}{KV}allow = [\"drop\"]\ntables = [\"public.orders\"]\n"),
            "unknown variant `drop`",
        ),
        (
            format!("{SERVER}{KV}allow = [\"select\"]\ntables = []\n"),
            "`tables` is empty",
        ),
        (
            format!("{SERVER}{KV}allow = [\"select\"]\ntables = [\"orders\"]\n"),
            "a table is written with its schema",
        ),
        (format!("{SERVER}{SCOPE}"), "missing field `credential`"),
    ] {
        let found = parse(&table).unwrap_err();
        assert!(found.contains(message), "{found}");
    }
    for (rest, message) in [
        ("max_rows = 0\n", "`max_rows` is 0"),
        ("max_rows = 99999999999\n", "the most is 10000000000"),
        ("max_bytes = \"2TiB\"\n", "`max_bytes` is `2TiB`"),
        ("max_connections = 17\n", "expected 1 to 16"),
        ("statement_timeout = \"0s\"\n", "from 1ms to 24h"),
        ("statement_timeout = \"25h\"\n", "from 1ms to 24h"),
        ("ca = \"none\"\n", "`ca` holds no certificate"),
        ("types = [\"state\"]\n", "written with its schema"),
        ("types = [\"pg_catalog.regclass\"]\n", "cannot be granted"),
        (
            "options = \"-c role=postgres\"\n",
            "unknown field `options`",
        ),
    ] {
        let found = refused(rest);
        assert!(found.contains(message), "{found}");
    }
    let field = KV.replace("\" } }", "\", field = \"password\" } }");
    let found = parse(&format!("{SERVER}{field}{SCOPE}")).unwrap_err();
    assert!(found.contains("leave it out"), "{found}");
}
