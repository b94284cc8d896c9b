//! What stands in more than one place by necessity: the provider is Python, the pages are
//! for people. Each list is held against the host's own.

use cofferdam::diagnostic::Exit;
use cofferdam::grants::{Limits, RunLimits};
use cofferdam_devkit::tools::workspace;
use strum::IntoEnumIterator as _;

fn read(name: &str) -> String {
    std::fs::read_to_string(workspace().join(name)).unwrap()
}

/// The names of the limits that a caller can tighten.
fn limits() -> Vec<String> {
    let all: RunLimits = Limits::default().shown();
    let all = serde_json::to_value(all).unwrap();
    all.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_exit_code_is_known_everywhere() {
    let python = read("airflow-provider/airflow_provider_cofferdam/fault.py");
    let (readme, page) = (read("README.md"), read("docs/AIRFLOW.md"));
    let source = read("host/src/cli/run.rs");
    let (readme, source) = (
        part(&readme, "Exit codes of `run`:", "\n\n"),
        part(&source, "/// Exit codes:", "#[derive"),
    );
    let known = python
        .lines()
        .filter(|line| line.starts_with("    ") && line.contains(" = "));
    let known: Vec<&str> = known.take(Exit::iter().count() + 1).collect();
    for exit in Exit::iter() {
        let code = exit.code();
        let ends = format!(" = {code}");
        assert!(
            known.iter().any(|line| line.ends_with(&ends)),
            "fault.py: {code} {known:?}"
        );
        let is_named = |text: &str| {
            let mut words = text.split(|it: char| !it.is_ascii_alphanumeric());
            words.any(|word| word == code.to_string())
        };
        assert!(is_named(readme), "README.md: {code}");
        assert!(is_named(source), "cofferdam run --help: {code}");
        assert!(
            page.contains(&format!("\n| {code} | ")),
            "docs/AIRFLOW.md: {code}"
        );
    }
}

#[test]
fn every_limit_of_a_caller_is_known_everywhere() {
    let names = limits();
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let python = read("airflow-provider/airflow_provider_cofferdam/limits.py");
    let tuple = part(&python, "NAMES = (", ")");
    assert_eq!(tuple.matches('"').count(), 2 * names.len(), "{tuple}");
    for name in &quoted {
        assert!(tuple.contains(name), "limits.py: {name}");
    }
    for (file, from, to) in [
        (
            "airflow-provider/airflow_provider_cofferdam/operator.py",
            ":param limits:",
            ":param",
        ),
        ("docs/AIRFLOW.md", "| `limits` | none |", "\n"),
        ("docs/OPERATE.md", "A submission may carry `limits`", "\n\n"),
        ("host/src/cli/run.rs", "/// A limit for this run", "#["),
        ("host/src/cli/run/print.rs", "fn who_sets", "a tighter one"),
    ] {
        let text = read(file);
        let text = part(&text, from, to);
        for name in &names {
            assert!(text.contains(name.as_str()), "{file}: {name}");
        }
    }
}

/// What stands from here on until there.
fn part<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text
        .split_once(from)
        .unwrap_or_else(|| panic!("no {from:?}"));
    rest.split_once(to).map_or(rest, |(part, _)| part)
}
