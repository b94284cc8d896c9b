//! Whatever comes in.

use proptest::prelude::*;

use super::super::engine::read;
use super::*;

/// Pieces of SQL, thrown together: far more of it can be read than of noise.
fn piece() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "SELECT",
        "FROM",
        "WHERE",
        "orders",
        "lines",
        "secrets",
        "pg_shadow",
        "x",
        "AS",
        "(",
        ")",
        ",",
        ".",
        "*",
        "=",
        "+",
        "-",
        "--",
        "/*",
        "*/",
        ";",
        "'",
        "''",
        "\"",
        "$$",
        "$1",
        "1",
        "1.5",
        "WITH",
        "RECURSIVE",
        "INSERT INTO",
        "VALUES",
        "UPDATE",
        "SET",
        "DELETE FROM",
        "RETURNING",
        "MERGE INTO",
        "USING",
        "ON",
        "WHEN MATCHED THEN",
        "COPY",
        "FROM STDIN",
        "TO STDOUT",
        "PROGRAM",
        "JOIN",
        "LEFT JOIN",
        "LATERAL",
        "UNION",
        "ALL",
        "ORDER BY",
        "GROUP BY",
        "LIMIT",
        "FOR UPDATE",
        "OVER",
        "PARTITION BY",
        "FILTER",
        "CASE",
        "WHEN",
        "THEN",
        "ELSE",
        "END",
        "lower",
        "pg_sleep",
        "count",
        "::",
        "int",
        "regclass",
        "ARRAY",
        "[",
        "]",
        "IN",
        "NOT",
        "EXISTS",
        "BETWEEN",
        "AND",
        "OR",
        "LIKE",
        "IS NULL",
        "CAST",
        "INTERVAL",
        "EXTRACT",
        "E'",
        "U&'",
        "\\",
        ":",
        "@",
        "->",
        "->>",
        "ONLY",
        "TABLE",
        "DEFAULT",
        "ON CONFLICT",
        "DO NOTHING",
        "public",
        "pg_catalog",
        "INTO",
        "\n",
        "\t",
        "\u{200b}",
        "é",
    ]);
    prop_oneof![9 => words.prop_map(str::to_owned), 1 => ".{0,3}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = read(&rules(&ALL), &text);
    }

    #[test]
    fn what_is_written_reads_the_same_again(pieces in prop::collection::vec(piece(), 1..30)) {
        let rules = rules(&ALL);
        let Ok(checked) = read(&rules, &pieces.join(" ")) else {
            return Ok(());
        };
        holds(&rules, &checked)?;
    }

    #[test]
    fn columns_and_values_stay_what_they_are(name in ".{1,20}", value in ".{0,20}") {
        let rules = rules(&ALL);
        let quoted = |text: &str, quote: &str| text.replace(quote, &quote.repeat(2));
        let text = format!("SELECT \"{}\", '{}' FROM orders", quoted(&name, "\""), quoted(&value, "'"));
        let Ok(checked) = read(&rules, &text) else {
            return Ok(());
        };
        let shown = format!("SELECT \"{}\" , ", quoted(&name, "\""));
        prop_assert!(checked.text().starts_with(&shown), "{}", checked.text());
        holds(&rules, &checked)?;
    }
}

/// The written statement is one statement of the same verbs and tables, holds
/// no comment, and names no table without its schema.
fn holds(rules: &Rules, checked: &Checked) -> Result<(), TestCaseError> {
    let again = read(rules, checked.text());
    let again = again.map_err(|r| TestCaseError::fail(format!("{}: {r}", checked.text())))?;
    prop_assert_eq!(again.verbs(), checked.verbs());
    prop_assert_eq!(again.tables(), checked.tables());
    prop_assert_eq!(again.parameters(), checked.parameters());
    Ok(())
}
