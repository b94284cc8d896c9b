//! What passes, and what is sent for it.

use super::*;

/// The statements, one a line, each with what is sent below it.
const ALLOWED: &str = include_str!("allowed.txt");

#[test]
fn the_gate_writes_its_own_statement() {
    let gate = Gate::new(rules(&ALL));
    let mut written = String::new();
    for text in statements() {
        match gate.check(text) {
            Ok(checked) => {
                let sent = checked.text().replace('\n', "\\n");
                written.push_str(&format!("{text}\n    {sent}\n"));
            }
            Err(rejected) => written.push_str(&format!("{text}\n    REFUSED {rejected}\n")),
        }
    }
    assert_eq!(written, ALLOWED);
}

pub(super) fn statements() -> impl Iterator<Item = &'static str> {
    ALLOWED.lines().filter(|line| !line.starts_with(' '))
}

#[test]
fn it_says_what_the_statement_does() {
    let gate = Gate::new(rules(&ALL));
    let summary = |text: &str| {
        let checked = gate.check(text).unwrap();
        let names = |names: Vec<String>| names.join(" ");
        (
            checked.kind().to_string(),
            names(checked.verbs().iter().map(ToString::to_string).collect()),
            names(checked.tables().iter().map(ToString::to_string).collect()),
            checked.parameters(),
            checked.returns_rows(),
        )
    };
    let is = |kind: &str, verbs: &str, tables: &str, parameters, rows| {
        (
            kind.to_owned(),
            verbs.to_owned(),
            tables.to_owned(),
            parameters,
            rows,
        )
    };
    assert_eq!(summary("SELECT 1"), is("select", "select", "", 0, true));
    assert_eq!(
        summary("WITH g AS (DELETE FROM orders RETURNING *) SELECT * FROM g, lines WHERE $2 > $1"),
        is(
            "select",
            "select delete",
            "public.lines public.orders",
            2,
            true
        )
    );
    assert_eq!(
        summary("INSERT INTO orders VALUES ($3) ON CONFLICT (id) DO UPDATE SET id = 1"),
        is("insert", "insert update", "public.orders", 3, false)
    );
    assert_eq!(
        summary(
            "WITH x AS (SELECT * FROM stage.orders) INSERT INTO orders SELECT * FROM x RETURNING 1"
        ),
        is(
            "insert",
            "select insert",
            "public.orders stage.orders",
            0,
            true
        )
    );
    assert_eq!(
        summary("MERGE INTO orders o USING lines l ON true WHEN MATCHED THEN DELETE"),
        is(
            "merge",
            "select delete merge",
            "public.lines public.orders",
            0,
            false
        )
    );
    assert_eq!(
        summary("COPY lines FROM STDIN"),
        is("copy_in", "copy_in", "public.lines", 0, false)
    );
    assert_eq!(
        summary("COPY (SELECT 1 FROM lines FOR UPDATE) TO STDOUT"),
        is(
            "copy_out",
            "select update copy_out",
            "public.lines",
            0,
            false
        )
    );
}

#[test]
fn a_place_in_what_is_sent_is_found_in_the_task_s_text() {
    let gate = Gate::new(rules(&ALL));
    let text =
        "SELECT id,\n       lower(naem) -- typo\nFROM orders\nWHERE at > 'ätsch' AND $1 = other";
    let checked = gate.check(text).unwrap();
    for (piece, line, column) in [
        ("\"id\"", 1, 8),
        ("\"pg_catalog\".\"lower\"", 2, 8),
        ("\"naem\"", 2, 14),
        ("\"public\".\"orders\"", 3, 6),
        ("'ätsch'", 4, 12),
        ("$1", 4, 24),
        ("\"other\"", 4, 29),
    ] {
        let bytes = checked.text().find(piece).unwrap();
        let at = checked.text()[..bytes].chars().count() as u32 + 1;
        assert_eq!(
            checked.locate(at),
            Some(Position { line, column }),
            "{piece}"
        );
        assert_eq!(
            checked.locate(at + 1),
            Some(Position { line, column }),
            "{piece}"
        );
    }
    assert_eq!(checked.locate(1), None);
    assert_eq!(checked.locate(0), None);
}

#[test]
fn the_schema_of_the_grant_is_where_bare_names_are() {
    let mut rules = rules(&ALL);
    rules.schema = "stage".parse().unwrap();
    rules.functions.insert("nextval".parse().unwrap());
    let gate = Gate::new(rules);
    let checked = gate
        .check("SELECT nextval('s'), NULL::orders FROM orders")
        .unwrap();
    assert_eq!(
        checked.text(),
        "SELECT \"pg_catalog\".\"nextval\" ( 's' ) , NULL :: \"stage\".\"orders\" FROM \"stage\".\"orders\""
    );
    assert_eq!(
        gate.check("SELECT * FROM lines").unwrap_err().reason,
        Reason::TableNotGranted
    );
    assert_eq!(
        gate.check("SELECT allowed(1)").unwrap_err().reason,
        Reason::FunctionNotGranted
    );
}

#[test]
fn a_text_is_read_once() {
    let gate = Gate::new(rules(&ALL));
    let first = gate.check("SELECT 1").unwrap();
    let second = gate.check("SELECT 1").unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    for n in 0..1000 {
        gate.check(&format!("SELECT {n}")).unwrap();
    }
    gate.check("SELECT 1").unwrap();
}

#[test]
fn the_guide_shows_what_is_sent() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/SQL.md");
    let page = std::fs::read_to_string(page).unwrap();
    let gate = Gate::new(rules(&ALL));
    let rows = page.lines().filter_map(|line| {
        let (task, server) = line.strip_prefix("| `")?.split_once("` | `")?;
        let (server, _) = server.rsplit_once('`')?;
        task.starts_with(['s', 'w']).then_some((task, server))
    });
    let mut count = 0;
    for (task, server) in rows {
        assert_eq!(gate.check(task).unwrap().text(), server);
        count += 1;
    }
    assert_eq!(count, 4);
}
