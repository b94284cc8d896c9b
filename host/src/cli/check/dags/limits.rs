//! The limits that a DAG asks for, against those of the grants.

use serde_json::Value;

use super::facts::{Fields, Kind, Literal};
use super::finding::Code;
use super::schema::Mismatch;
use crate::grants::{Limits, RunLimits};

/// What of these limits would be refused.
pub(super) fn judge(asked: &Literal, granted: &Limits) -> Vec<Mismatch> {
    match &asked.is {
        Kind::Object(Fields { fields, .. }) => fields
            .iter()
            .filter_map(|(name, value)| field(name, value, granted))
            .collect(),
        Kind::Null | Kind::Unknown(_) => Vec::new(),
        _ => vec![Mismatch {
            code: Code::LimitInvalid,
            line: asked.line,
            problem: "`limits` is no mapping".to_owned(),
            hint: Some("write `limits={\"timeout\": \"30s\"}`".to_owned()),
        }],
    }
}

fn field(name: &str, value: &Literal, granted: &Limits) -> Option<Mismatch> {
    let mismatch = |code, problem, hint| {
        Some(Mismatch {
            code,
            line: value.line,
            problem,
            hint,
        })
    };
    if value.is == Kind::Null {
        // As if it were not there.
        return None;
    }
    let asked = match toml_of(name, value) {
        Some(written) => RunLimits::asked(table(name, written)),
        // A template, or what is computed.
        None if matches!(value.is, Kind::Unknown(_) | Kind::String(None)) => return None,
        None => {
            let problem = format!("`limits.{name}` is no limit");
            let hint = "write text with a unit, such as \"30s\" or \"64MiB\"; a whole number for \
                        `host_calls`";
            return mismatch(Code::LimitInvalid, problem, Some(hint.to_owned()));
        }
    };
    match asked {
        Err(error) => {
            let (problem, hint) = match error.message().split_once('\n') {
                Some((problem, hint)) => (problem, Some(hint.to_owned())),
                None => (error.message(), None),
            };
            let problem = format!("`limits.{name}`: {problem}");
            mismatch(Code::LimitInvalid, problem, hint)
        }
        Ok(asked) => {
            let wider = granted.tightened(&asked).err()?;
            mismatch(Code::LimitWider, wider.to_string(), Some(wider.cure()))
        }
    }
}

/// The value as a grants file would have it, so that one reader reads both.
fn toml_of(name: &str, value: &Literal) -> Option<toml::Value> {
    match value.value()? {
        // A template can only make text of it, so the provider takes text.
        Value::String(text) if name == "host_calls" => Some(match text.trim().parse::<i64>() {
            Ok(number) => toml::Value::Integer(number),
            Err(_) => toml::Value::String(text),
        }),
        Value::String(text) => Some(toml::Value::String(text.trim().to_owned())),
        Value::Number(number) => number.as_i64().map(toml::Value::Integer),
        _ => None,
    }
}

fn table(name: &str, value: toml::Value) -> toml::Value {
    toml::Value::Table([(name.to_owned(), value)].into_iter().collect())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn told(fields: &[(&str, Kind)]) -> String {
        let literal = |is: Kind| Literal { line: 1, is };
        let fields = fields
            .iter()
            .map(|(name, is)| ((*name).to_owned(), literal(is.clone())))
            .collect();
        let asked = literal(Kind::Object(Fields {
            fields,
            open: false,
        }));
        let found = judge(&asked, &Limits::default());
        let lines = found.into_iter().map(|it| {
            let hint = it.hint.unwrap_or_default();
            format!("{}: {}; {hint}", it.code, it.problem)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn text(text: &str) -> Kind {
        Kind::String(Some(text.to_owned()))
    }

    fn number(number: u64) -> Kind {
        Kind::Integer(Some(number.into()))
    }

    #[test]
    fn limits_may_only_tighten() {
        let unknown = Kind::Unknown("a template".to_owned());
        assert_eq!(
            told(&[
                ("timeout", text("30s")),
                ("memory", text("64MiB")),
                ("host_calls", number(10)),
                ("log", Kind::Null),
                ("output", unknown),
            ]),
            ""
        );
        assert_eq!(told(&[("host_calls", text("12"))]), "");
        assert_snapshot!(told(&[
            ("timeout", text("2m")),
            ("memory", text("1GiB")),
            ("host_calls", number(2_000_000)),
        ]), @r"
        limit_wider: `limits.host_calls` was asked to be 2000000, but the grants allow 1000000; ask for `1000000` at most, or ask security to raise `limits.host_calls` of the grants file
        limit_wider: `limits.memory` was asked to be 1GiB, but the grants allow 128MiB; ask for `128MiB` at most, or ask security to raise `limits.memory` of the grants file
        limit_wider: `limits.timeout` was asked to be 2m, but the grants allow 1m; ask for `1m` at most, or ask security to raise `limits.timeout` of the grants file
        ");
        assert_snapshot!(told(&[
            ("timeout", number(30)),
            ("memory", text("64")),
            ("output", Kind::Boolean(true)),
            ("host_calls", text("many")),
            ("grace", text("1s")),
            ("log", text("100MiB")),
        ]), @r#"
        limit_invalid: `limits.grace`: unknown field `grace`, expected one of `timeout`, `memory`, `output`, `log`, `host_calls`; 
        limit_invalid: `limits.host_calls`: invalid type: string "many", expected a whole number; 
        limit_invalid: `limits.log`: `100MiB` is out of range; choose a value from 0B to 64MiB
        limit_invalid: `limits.memory`: `64` is out of range; choose a value from 64KiB to 4GiB
        limit_invalid: `limits.output` is no limit; write text with a unit, such as "30s" or "64MiB"; a whole number for `host_calls`
        limit_invalid: `limits.timeout`: invalid type: integer `30`, expected a duration in quotes, such as `90s`;
        "#);
        let list = Literal {
            line: 1,
            is: number(1),
        };
        assert_eq!(judge(&list, &Limits::default())[0].code, Code::LimitInvalid);
    }
}
