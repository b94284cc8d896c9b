//! What must not pass.

use super::*;

const REFUSED: &str = include_str!("refused.txt");

/// Statements that a line of the file cannot hold.
const SPELLINGS: [(Reason, &str); 14] = [
    (Reason::NotRead, "SELECT 1\0"),
    (Reason::NotRead, "SELECT 'a\0b'"),
    (Reason::NotRead, "SELECT E'a\\000b'"),
    (Reason::NotOneStatement, ""),
    (Reason::NotOneStatement, " \n\t "),
    (
        Reason::NotOneStatement,
        "SELECT 1 -- x\n; DELETE FROM orders",
    ),
    (
        Reason::NotOneStatement,
        "SELECT 1 -- x\r; DELETE FROM orders\n; SELECT 2",
    ),
    (
        Reason::ClauseNotAllowed,
        "SELECT * FROM\u{200b}secrets\u{200b}",
    ),
    (Reason::TableNotGranted, "SELECT * FROM \u{feff}orders"),
    (Reason::TableNotGranted, "SELECT * FROM orde\u{200d}rs"),
    (Reason::TableNotGranted, "SELECT * FROM оrders"), // the first letter is Cyrillic
    (Reason::TableNotGranted, "SELECT * FROM ORDERſ"),
    (Reason::FunctionNotGranted, "SELECT pg_sleep\u{a0}(1)"),
    (
        Reason::ClauseNotAllowed,
        "COPY orders FROM STDIN;\n1\tx\n\\.\n",
    ),
];

#[test]
fn nothing_of_the_catalogue_passes() {
    let mut verbs = Vec::new();
    let mut count = 0;
    let mut wrong = Vec::new();
    for line in REFUSED.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            verbs = header
                .trim_end_matches(']')
                .split_whitespace()
                .map(|word| *ALL.iter().find(|verb| verb.to_string() == word).unwrap())
                .collect();
        } else if !line.is_empty() && !line.starts_with('#') {
            let (reason, text) = line.split_once(" | ").unwrap();
            count += 1;
            match Gate::new(rules(&verbs)).check(text) {
                Err(rejected) if rejected.reason.to_string() == reason => {}
                other => wrong.push(format!("{text}\n    {other:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 300, "{count}");
}

#[test]
fn odd_letters_are_letters() {
    for (reason, text) in SPELLINGS {
        let answer = Gate::new(rules(&ALL)).check(text);
        assert_eq!(
            answer.map_err(|r| r.reason).unwrap_err(),
            reason,
            "{text:?}"
        );
    }
}

#[test]
fn a_catalogue_that_the_grant_names_is_a_table() {
    let mut rules = rules(&ALL);
    rules
        .tables
        .insert("information_schema.columns".parse().unwrap());
    let checked = Gate::new(rules)
        .check("SELECT 1 FROM information_schema.columns")
        .unwrap();
    assert_eq!(checked.tables().len(), 1);
}

#[test]
fn a_refusal_says_where() {
    let gate = Gate::new(rules(&ALL));
    for (text, line, column) in [
        ("SELECT *\nFROM orders\nJOIN secrets USING (id)", 3, 6),
        ("SELECT id,\n  pg_sleep(1)\nFROM orders", 2, 3),
        ("SELECT id FROM orders\nWHERE )", 2, 7),
        ("SELECT 'x'::regclass", 1, 8),
        ("SELECT 'ä', secrets.x, U&'x'", 1, 24),
    ] {
        let rejected = gate.check(text).unwrap_err();
        assert_eq!(
            rejected.position,
            Some(Position { line, column }),
            "{text}: {rejected}"
        );
    }
}
