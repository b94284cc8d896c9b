//! docs/GRANTS.md against the parsers: its examples are taken, its tables name
//! every field and the ranges that hold.

use std::path::Path;

use super::{Grants, Limits};
use crate::config::value::{Range, show_duration, show_size};
use crate::config::{
    EngineConfig, HostConfig, JwtConfig, ResultsConfig, ServerConfig, ServerLimits,
};
use crate::digest::Digest;

const REFERENCE: &str = include_str!("../../../docs/GRANTS.md");

/// The TOML blocks: the file's name from the first line, and the text.
fn examples() -> Vec<(&'static str, &'static str)> {
    REFERENCE
        .split("```toml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```"))
        .map(|(block, _)| {
            let name = block.lines().next().unwrap().strip_prefix("# ").unwrap();
            (name, block)
        })
        .collect()
}

fn parse(name: &str, text: &str) -> Result<(), String> {
    let file = Path::new(name);
    if name.starts_with("grants/") {
        Grants::parse(text, file, Digest::of(text.as_bytes()))
            .map(|_| ())
            .map_err(|error| error.to_string())
    } else {
        HostConfig::parse(text, file, Path::new("/"))
            .map(|_| ())
            .map_err(|error| error.to_string())
    }
}

#[test]
fn every_example_is_taken() {
    let examples = examples();
    assert_eq!(examples.len(), 10);
    for (name, text) in examples {
        assert_eq!(parse(name, text), Ok(()), "{text}");
        assert!(parse(name, &format!("unknown = 1\n{text}")).is_err());
    }
}

#[test]
fn every_field_is_described() {
    let examples = examples();
    let example = |wanted: &str| {
        let found = examples.iter().find(|(_, text)| text.contains(wanted));
        *found.unwrap()
    };
    let tables = [
        "task =",
        "[caller]\n",
        "[limits]\n",
        "[http.billing]\n",
        "[keys.signer]\n",
        "[reveal.legacy]\n",
        "[sql.warehouse]\n",
        "[authority.jwt]\n",
        "kv2 = { ",
        "kv1 = { ",
        "dynamic = { ",
        "static = { ",
        "transit = { ",
        "inject = { ",
        "[paths]\n",
        "[vault]\n",
        "[engine]\n",
        "[vault.auth.approle]\n",
        "[vault.auth.token_file]\n",
        "[vault.identity]\n",
        "[server]\n",
        "[[server.allow]]\n",
        "[server.limits]\n",
        "[server.results]\n",
        "[server.tcp]\n",
        "[server.tcp.jwt]\n",
        "[telemetry]\n",
    ];
    for table in tables {
        let (name, text) = example(table);
        let unknown = match table.chars().last() {
            Some('=') => format!("unknown = 1\n{table}"),
            Some(' ') => format!("{table}unknown = 1, "),
            _ => format!("{table}unknown = 1\n"),
        };
        let message = parse(name, &text.replacen(table, &unknown, 1)).unwrap_err();
        let (_, known) = message.split_once("expected ").expect(&message);
        let fields: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        assert!(!fields.is_empty(), "{message}");
        for field in fields {
            let described = REFERENCE.contains(&format!("| `{field}` |"))
                || REFERENCE.contains(&format!("`[{field}."))
                || REFERENCE.contains(&format!("`[{field}]`"))
                || REFERENCE.contains(&format!(".{field}]`"))
                || REFERENCE.contains(&format!("{{ {field} = "))
                || REFERENCE.contains(&format!(", {field} = "));
            assert!(described, "`{field}` of {table:?} is not described");
        }
    }
}

#[test]
fn every_log_in_and_every_field_of_it_is_described() {
    let unknown = |text: &str| {
        let message = parse("cofferdam.toml", text).unwrap_err();
        let (_, known) = message.split_once("expected ").expect(&message);
        let known: Vec<String> = known
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect();
        assert!(!known.is_empty(), "{message}");
        known
    };
    let head = "[vault]\naddress = \"https://v\"\n";
    let methods = unknown(&format!("{head}[vault.auth]\nunknown = 1\n"));
    assert!(methods.len() >= 14, "{methods:?}");
    for method in methods {
        let heading = format!("`[vault.auth.{method}]`");
        let lines = REFERENCE
            .lines()
            .skip_while(|line| !line.contains(&heading));
        // The heading, an empty line, the table.
        let table: Vec<&str> = lines.skip(2).take_while(|line| !line.is_empty()).collect();
        for field in unknown(&format!("{head}[vault.auth.{method}]\nunknown = 1\n")) {
            let row = format!("| `{field}` |");
            let described = table.iter().any(|line| line.starts_with(&row));
            assert!(described, "`{field}` of {heading} is not described");
        }
    }
}

#[test]
fn every_range_is_as_described() {
    fn row<T: Copy>(name: &str, range: Range<T>, show: impl Fn(T) -> String) -> String {
        let default = format!("`{}`", show(range.default));
        let default = if name == "heartbeat" {
            "none"
        } else {
            &default
        };
        let (min, max) = (show(range.min), show(range.max));
        format!("| `{name}` | {default} | `{min}` | `{max}` |")
    }
    let number = |value: usize| value.to_string();
    let small = |value: u32| value.to_string();
    for row in [
        row("timeout", Limits::TIMEOUT, show_duration),
        row("grace", Limits::GRACE, show_duration),
        row("heartbeat", Limits::HEARTBEAT, show_duration),
        row("memory", Limits::MEMORY, show_size),
        row("table_elements", Limits::TABLE_ELEMENTS, number),
        row("instances", Limits::INSTANCES, number),
        row("handles", Limits::HANDLES, number),
        row("output", Limits::OUTPUT, show_size),
        row("input", Limits::INPUT, show_size),
        row("log", Limits::LOG, show_size),
        row("host_calls", Limits::HOST_CALLS, |value| value.to_string()),
        row("instances", EngineConfig::INSTANCES, small),
        row("memory", EngineConfig::MEMORY, show_size),
        row("table_elements", EngineConfig::TABLE_ELEMENTS, number),
        row("core_instances", EngineConfig::CORE_INSTANCES, small),
        row("drain", ServerConfig::DRAIN, show_duration),
        row("audit_file", ServerConfig::AUDIT_FILE, show_size),
        row("queue", ServerLimits::QUEUE, small),
        row("queue_per_caller", ServerLimits::QUEUE_PER_CALLER, small),
        row("submissions_per_second", ServerLimits::SUBMISSIONS, small),
        row("body", ServerLimits::BODY, show_size),
        row("memory", ServerLimits::MEMORY, show_size),
        row(
            "memory_per_caller",
            ServerLimits::MEMORY_PER_CALLER,
            show_size,
        ),
        row("connections", ServerLimits::CONNECTIONS, small),
        row(
            "connections_per_caller",
            ServerLimits::CONNECTIONS_PER_CALLER,
            small,
        ),
        row("keep", ResultsConfig::KEEP, show_duration),
        row("leeway", JwtConfig::LEEWAY, show_duration),
        row("most", ResultsConfig::MOST, |value| value.to_string()),
        row("disk", ResultsConfig::DISK, show_size),
        row("disk_per_caller", ResultsConfig::DISK_PER_CALLER, show_size),
    ] {
        assert!(REFERENCE.contains(&row), "not in the reference: {row}");
    }
}
