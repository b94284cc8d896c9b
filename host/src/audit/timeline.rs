//! Showing what a chain says.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde_json::{Map, Value};

use super::AuditError;
use super::files::{Raw, next_line};
use super::line::{Line, MEMBERS};
use crate::scrub::escape_control;

/// One line of a chain, shown.
pub enum Shown<'a> {
    /// For people: safe to print.
    Text(String),
    /// As it stands in the file: one JSON document.
    Json(Cow<'a, str>),
    /// The line with this number cannot be read.
    Unreadable(u64),
}

/// Hands the lines of one run, or all lines, to `sink`; how many there were.
/// Says nothing on whether they are genuine: [`super::verify`] does.
///
/// # Errors
/// When the file cannot be read.
pub fn show(
    path: &Path,
    run: Option<&str>,
    json: bool,
    sink: &mut dyn FnMut(Shown<'_>),
) -> Result<u64, AuditError> {
    let failed = |source| AuditError::Read {
        path: path.to_owned(),
        source,
    };
    let mut input = BufReader::new(File::open(path).map_err(failed)?);
    let mut buffer = Vec::new();
    let (mut shown, mut number) = (0, 0);
    while let Some(raw) = next_line(&mut input, &mut buffer).map_err(failed)? {
        number += 1;
        let parsed = match raw {
            Raw::Line(bytes) => Line::parse(bytes).zip(std::str::from_utf8(bytes).ok()),
            Raw::TooLong | Raw::Torn(_) => None,
        };
        let Some((line, text)) = parsed else {
            sink(Shown::Unreadable(number));
            continue;
        };
        if run.is_some_and(|run| line.head.run.as_deref() != Some(run)) {
            continue;
        }
        shown += 1;
        sink(if json {
            Shown::Json(text.into())
        } else {
            Shown::Text(describe(&line, text, run.is_none()))
        });
    }
    Ok(shown)
}

/// `2026-11-24T02:31:05.123456Z  7  intent  grant=http.billing operation=send …`
fn describe(line: &Line<'_>, text: &str, with_run: bool) -> String {
    let head = &line.head;
    let mut out = format!(
        "{}  {:>5}  {:<16}",
        escape_control(&head.time),
        head.seq,
        escape_control(&head.event)
    );
    if let Some(run) = head.run.as_deref().filter(|_| with_run) {
        let _ = write!(out, "  run={}", escape_control(run));
    }
    let members: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    for (name, value) in &members {
        if !MEMBERS.contains(&name.as_str()) {
            member(&mut out, name, value);
        }
    }
    out
}

/// Objects are spread out; what is not there is left out.
fn member(out: &mut String, name: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (name, value) in members {
                member(out, name, value);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) => {
            let texts: Vec<_> = items.iter().map(plain).collect();
            let _ = write!(out, "  {}={}", escape_control(name), texts.join(","));
        }
        other => {
            let _ = write!(out, "  {}={}", escape_control(name), plain(other));
        }
    }
}

/// Texts with blanks or quotes keep their quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => {
            escape_control(text)
        }
        other => escape_control(&other.to_string()),
    }
}
