//! Long and deep texts: refused in time, on a small stack.

use std::thread;
use std::time::{Duration, Instant};

use super::super::engine::read;
use super::*;

/// A quarter of what the gate has.
const STACK: usize = 4 << 20;

/// Far more than any of them takes, far less than a run away would.
const LONGEST: Duration = Duration::from_secs(20);

fn on_small_stack(text: String) -> Result<Checked, Rejected> {
    let started = Instant::now();
    let start: String = text.chars().take(60).collect();
    let thread = thread::Builder::new().stack_size(STACK);
    let answer = thread
        .spawn(move || read(&rules(&ALL), &text))
        .unwrap()
        .join()
        .unwrap();
    assert!(
        started.elapsed() < LONGEST,
        "{start}: {:?}",
        started.elapsed()
    );
    answer
}

/// A text that nests `times` deep.
fn nested(before: &str, open: &str, inner: &str, close: &str, times: usize) -> String {
    format!(
        "{before}{}{inner}{}",
        open.repeat(times),
        close.repeat(times)
    )
}

#[test]
fn depth_is_bounded_whatever_nests() {
    for times in [10, 30, 39, 100, 400, 5000] {
        for text in [
            nested("SELECT ", "(", "1", ")", times),
            nested("SELECT ", "((((1)+", "1", "))))", times),
            nested("SELECT ", "abs(", "1", ")", times),
            nested("SELECT ", "(SELECT ", "1", ")", times),
            nested("SELECT * FROM ", "(SELECT * FROM ", "orders", ") x", times),
            nested("SELECT * FROM ", "(", "orders", ")", times),
            nested("", "(", "SELECT 1", ")", times),
            nested("SELECT ", "CASE WHEN ", "true", " THEN 1 END", times),
            nested("SELECT ", "NOT ", "true", "", times),
            nested("SELECT ", "- ", "1", "", times),
            nested("SELECT ", "ARRAY[", "1", "]", times),
            nested("SELECT ", "CAST(", "1", " AS int)", times),
            nested("SELECT ", "EXISTS (SELECT ", "1", ")", times),
            nested("SELECT ", "a IN (", "1", ")", times),
            nested("SELECT ", "", "1", "::int", times),
            nested("SELECT ", "", "'{}'::int", "[]", times),
            nested("SELECT ", "", "a", "[1]", times),
            nested("SELECT ", "", "(a)", ".b", times),
            nested("SELECT ", "", "1", " + 1", times),
            nested("SELECT ", "1 + ", "1", "", times),
            nested("SELECT ", "", "true", " AND true", times),
            nested("SELECT ", "", "a", " IS NULL", times),
            nested("SELECT ", "", "a", " AT TIME ZONE 'utc'", times),
            nested("SELECT ", "", "a", " COLLATE \"C\"", times),
            nested("SELECT ", "", "a", " BETWEEN 1 AND 2", times),
            nested("", "", "SELECT 1", " UNION SELECT 1", times),
            nested(
                "SELECT * FROM orders ",
                "",
                "",
                " NATURAL JOIN orders",
                times,
            ),
            nested("", "WITH x AS (", "SELECT 1", ") SELECT 1", times),
            nested("", "EXPLAIN ", "SELECT 1", "", times),
            nested("SELECT ", "INTERVAL ", "'1'", "", times),
            nested("", "IF x THEN ", "SELECT 1", "", times),
            nested("CREATE TABLE x (a ", "ARRAY<", "int", ">", times),
            nested("SELECT 1::", "STRUCT<a ", "int", ">", times),
            nested("SELECT 1::", "MAP(int, ", "int", ")", times),
            nested("SELECT ", "/* ", "1", " */", times),
            nested("SELECT ", "PRIOR ", "1", "", times),
            nested("SELECT ", "{'a': ", "1", "}", times),
            nested("SELECT ", "x -> ", "1", "", times),
        ] {
            let _ = on_small_stack(text);
        }
    }
}

#[test]
fn what_people_write_is_not_too_deep() {
    for text in [
        nested("SELECT ", "(", "1", ")", 25),
        nested("SELECT ", "(SELECT ", "1", ")", 12),
        nested("SELECT * FROM ", "(SELECT * FROM ", "orders", ") x", 12),
        nested("SELECT ", "CASE WHEN a THEN 1 ELSE ", "1", " END", 12),
        nested("SELECT ", "", "'a'", " || 'a'", 200),
        nested("SELECT 1 WHERE ", "a = 1 OR ", "b = 2", "", 100),
        nested("", "", "SELECT 1", " UNION ALL SELECT 1", 100),
        nested(
            "INSERT INTO orders VALUES (1, 'x')",
            "",
            "",
            ", (1, 'x')",
            5000,
        ),
        nested("SELECT 1 WHERE 1 IN (1", "", "", ", 1", 10_000) + ")",
    ] {
        on_small_stack(text).unwrap();
    }
}

#[test]
fn length_is_bounded() {
    let gate = Gate::new(rules(&ALL));
    let text = format!("SELECT '{}'", "x".repeat(MAX_TEXT));
    assert_eq!(gate.check(&text).unwrap_err().reason, Reason::TooLong);
    let text = format!("SELECT 1{}", ",1".repeat(100_000));
    assert_eq!(gate.check(&text).unwrap_err().reason, Reason::TooLong);
    let text = format!("SELECT '{}'", "x".repeat(MAX_TEXT / 2));
    gate.check(&text).unwrap();
}
