//! The settings of a session: all from the grant, none from the task, and
//! stronger than what the server has for its users and databases.

use super::SqlGrant;
use super::gate::Verb;

/// The settings as PostgreSQL's `options`. No value has a space or a backslash.
pub(super) fn of(grant: &SqlGrant) -> String {
    let mut settings = vec![
        format!("search_path=\"{}\"", grant.rules.schema),
        format!("statement_timeout={}", grant.statement_timeout.as_millis()),
        // The gate reads literals and `= NULL` in this way.
        "standard_conforming_strings=on".to_owned(),
        "array_nulls=on".to_owned(),
        "transform_null_equals=off".to_owned(),
        // What is written as text is written alike on every server.
        "datestyle=ISO,MDY".to_owned(),
        "intervalstyle=postgres".to_owned(),
        "timezone=UTC".to_owned(),
        "bytea_output=hex".to_owned(),
        // The user whom the audit names is the one who acts.
        "role=none".to_owned(),
    ];
    let reads = |verb: &Verb| matches!(verb, Verb::Select | Verb::CopyOut);
    if grant.rules.allow.iter().all(reads) {
        settings.push("default_transaction_read_only=on".to_owned());
    }
    let settings: Vec<_> = settings.iter().map(|it| format!("-c {it}")).collect();
    settings.join(" ")
}

/// Has the server look, once a second, whether the host is still there while a
/// statement runs: a host that was killed cannot cancel anything. A server
/// that does not know the setting goes without.
pub(super) const WATCH_THE_CLIENT: &str = "SET client_connection_check_interval = '1s'";

#[cfg(test)]
mod tests {
    use super::*;

    fn options(allow: &str, rest: &str) -> String {
        let grant: SqlGrant = toml::from_str(&format!(
            "server = \"db.example.com:5432/warehouse\"\n\
             credential = {{ kv2 = {{ mount = \"secret\", path = \"warehouse\" }} }}\n\
             allow = {allow}\ntables = [\"public.orders\"]\n{rest}"
        ))
        .unwrap();
        of(&grant)
    }

    #[test]
    fn a_grant_that_reads_gets_a_session_that_reads() {
        insta::assert_snapshot!(options("[\"select\"]", "statement_timeout = \"2s\""), @r#"-c search_path="public" -c statement_timeout=2000 -c standard_conforming_strings=on -c array_nulls=on -c transform_null_equals=off -c datestyle=ISO,MDY -c intervalstyle=postgres -c timezone=UTC -c bytea_output=hex -c role=none -c default_transaction_read_only=on"#);
        insta::assert_snapshot!(options("[\"select\", \"insert\"]", "schema = \"Sales\""), @r#"-c search_path="Sales" -c statement_timeout=30000 -c standard_conforming_strings=on -c array_nulls=on -c transform_null_equals=off -c datestyle=ISO,MDY -c intervalstyle=postgres -c timezone=UTC -c bytea_output=hex -c role=none"#);
    }
}
