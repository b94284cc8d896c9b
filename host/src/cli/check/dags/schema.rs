//! A literal against the input schema of a task.
//!
//! By hand and not with a crate: a literal is known in part, and a finding has the
//! line of its part. Judged are `type`, `enum`, `const`, `minimum`, `maximum`,
//! `properties`, `required`, `additionalProperties`, `items`, `prefixItems`, `$ref`
//! within the schema, `allOf`, `anyOf` and `oneOf`: what schemas of types are made of.
//! Any other keyword is passed over; the task itself judges last.

use serde_json::Value;

use super::facts::{Fields, Items, Kind, Literal};
use super::finding::Code;
use crate::config::value::bounded;

/// Most schemas within each other: a `$ref` may lead to itself.
const MAX_DEPTH: usize = 64;

/// Most things that are told of one literal.
const MAX_FOUND: usize = 20;

/// What a literal is that a task would not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) code: Code,
    pub(super) line: usize,
    /// Names the place, not the value.
    pub(super) problem: String,
    /// What would be right.
    pub(super) hint: Option<String>,
}

/// Holds a whole input against the schema.
pub(super) fn input(schema: &Value, literal: &Literal) -> Vec<Mismatch> {
    let mut judge = Judge::new(schema);
    judge.hold(schema, literal, "input", 0);
    judge.found
}

/// Holds the value of one parameter against its part of the schema.
pub(super) fn parameter(schema: &Value, name: &str, literal: &Literal) -> Vec<Mismatch> {
    let mut judge = Judge::new(schema);
    if let Some(of_one) = schema.get("properties").and_then(|all| all.get(name)) {
        judge.hold(of_one, literal, name, 1);
    }
    judge.found
}

/// Whether the properties are all there is. A task that does not say so passes over
/// what it does not know: whoever writes it means something else, and the provider
/// refuses it when it has the schema.
fn is_closed(schema: &Value, is_top: bool) -> bool {
    match schema.get("additionalProperties") {
        Some(more) => more == &Value::Bool(false),
        None => {
            let ends = ["$ref", "allOf", "anyOf", "oneOf", "patternProperties"];
            let has_some = schema
                .get("properties")
                .and_then(Value::as_object)
                .is_some_and(|all| !all.is_empty());
            is_top && has_some && ends.iter().all(|end| schema.get(end).is_none())
        }
    }
}

struct Judge<'a> {
    root: &'a Value,
    found: Vec<Mismatch>,
}

impl<'a> Judge<'a> {
    fn new(root: &'a Value) -> Self {
        Self {
            root,
            found: Vec::new(),
        }
    }

    fn hold(&mut self, schema: &'a Value, literal: &Literal, path: &str, depth: usize) {
        if depth > MAX_DEPTH || self.found.len() >= MAX_FOUND {
            return;
        }
        match &literal.is {
            Kind::Unknown(_) => return,
            Kind::Foreign(what) => {
                let problem = format!("`{path}` is {what}, which JSON does not have");
                return self.tell(Code::InputType, literal, problem, None);
            }
            _ => {}
        }
        if schema == &Value::Bool(false) {
            let problem = format!("the task does not take `{path}`");
            return self.tell(Code::InputUnknown, literal, problem, None);
        }
        if let Some(target) = self.target(schema) {
            self.hold(target, literal, path, depth + 1);
        }
        if let Some(types) = types(schema)
            && !types.iter().any(|one| is_of(literal, one))
        {
            let problem = format!(
                "`{path}` is {}, but the task takes {}",
                article(type_of(literal)),
                types.join(" or ")
            );
            return self.tell(Code::InputType, literal, problem, None);
        }
        self.hold_value(schema, literal, path);
        match &literal.is {
            Kind::Object(object) => self.hold_fields(schema, literal, object, path, depth),
            Kind::Array(array) => self.hold_items(schema, array, path, depth),
            _ => {}
        }
        for all in branches(schema, "allOf") {
            self.hold(all, literal, path, depth + 1);
        }
        for form in ["anyOf", "oneOf"] {
            self.hold_one_of(branches(schema, form), literal, path, depth);
        }
    }

    /// `enum`, `const` and the range of a number.
    fn hold_value(&mut self, schema: &Value, literal: &Literal, path: &str) {
        let Some(value) = literal.value() else {
            return;
        };
        let choices = match (schema.get("enum"), schema.get("const")) {
            (Some(Value::Array(choices)), _) => choices.as_slice(),
            (_, Some(only)) => std::slice::from_ref(only),
            _ => &[],
        };
        if !choices.is_empty() && !choices.contains(&value) {
            let shown: Vec<_> = choices
                .iter()
                .take(10)
                .map(|choice| choice.to_string().chars().take(80).collect::<String>())
                .collect();
            let problem = format!("`{path}` is none of the values that the task takes");
            let hint = format!("choose one of {}", shown.join(", "));
            return self.tell(Code::InputValue, literal, problem, Some(hint));
        }
        let Some(number) = value.as_f64() else {
            return;
        };
        let bound = |name| schema.get(name).and_then(Value::as_f64);
        if let Some(least) = bound("minimum").filter(|least| number < *least) {
            let problem = format!("`{path}` is less than {least}, the least that the task takes");
            self.tell(Code::InputValue, literal, problem, None);
        }
        if let Some(most) = bound("maximum").filter(|most| number > *most) {
            let problem = format!("`{path}` is more than {most}, the most that the task takes");
            self.tell(Code::InputValue, literal, problem, None);
        }
    }

    fn hold_fields(
        &mut self,
        schema: &'a Value,
        literal: &Literal,
        object: &Fields,
        path: &str,
        depth: usize,
    ) {
        let known = schema.get("properties").and_then(Value::as_object);
        let names = || match known {
            Some(known) if !known.is_empty() => {
                let names: Vec<_> = known.keys().take(20).map(|name| bounded(name)).collect();
                format!("the task takes `{}`", names.join("`, `"))
            }
            _ => "the task takes none".to_owned(),
        };
        for (name, value) in &object.fields {
            let below = format!("{path}.{}", bounded(name));
            if let Some(of_one) = known.and_then(|known| known.get(name)) {
                self.hold(of_one, value, &below, depth + 1);
            } else if schema.get("patternProperties").is_some() {
                // Its names are patterns, which are not judged.
            } else if is_closed(schema, depth == 0) {
                let problem = format!("the task does not take `{below}`");
                self.tell(Code::InputUnknown, value, problem, Some(names()));
            } else if let Some(more) = schema.get("additionalProperties") {
                self.hold(more, value, &below, depth + 1);
            }
        }
        if object.open {
            return;
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !object.fields.contains_key(name) {
                let problem = format!("`{path}` lacks `{}`, which the task needs", bounded(name));
                self.tell(Code::InputMissing, literal, problem, Some(names()));
            }
        }
    }

    fn hold_items(&mut self, schema: &'a Value, array: &Items, path: &str, depth: usize) {
        let first = branches(schema, "prefixItems");
        for (index, item) in array.items.iter().enumerate() {
            if let Some(of_one) = first.get(index).or_else(|| schema.get("items")) {
                self.hold(of_one, item, &format!("{path}[{index}]"), depth + 1);
            }
        }
    }

    /// At least one has to fit. What is told is of the one that is meant, when that is
    /// certain: an option is its type or null.
    fn hold_one_of(&mut self, forms: &'a [Value], literal: &Literal, path: &str, depth: usize) {
        let mut misfits = Vec::new();
        for form in forms {
            let mut judge = Judge::new(self.root);
            judge.hold(form, literal, path, depth + 1);
            if judge.found.is_empty() {
                return;
            }
            if form.get("type") != Some(&Value::from("null")) {
                misfits.push(judge.found);
            }
        }
        match misfits.pop() {
            Some(only) if misfits.is_empty() => self.found.extend(only),
            Some(_) => {
                let problem = format!("`{path}` has none of the forms that the task takes");
                self.tell(Code::InputType, literal, problem, None);
            }
            None => {}
        }
    }

    /// What a `$ref` within the schema names.
    fn target(&self, schema: &Value) -> Option<&'a Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer)
    }

    fn tell(&mut self, code: Code, literal: &Literal, problem: String, hint: Option<String>) {
        self.found.push(Mismatch {
            code,
            line: literal.line,
            problem,
            hint,
        });
    }
}

fn branches<'a>(schema: &'a Value, name: &str) -> &'a [Value] {
    let branches = schema.get(name).and_then(Value::as_array);
    branches.map_or(&[], Vec::as_slice)
}

fn types(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some(vec![one]),
        Value::Array(several) => Some(several.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

fn type_of(literal: &Literal) -> &'static str {
    match literal.is {
        Kind::Null => "null",
        Kind::Boolean(_) => "boolean",
        Kind::Integer(_) => "integer",
        Kind::Number(_) => "number",
        Kind::String(_) => "string",
        Kind::Array(_) => "array",
        Kind::Object(_) => "object",
        Kind::Foreign(_) | Kind::Unknown(_) => "unknown",
    }
}

fn is_of(literal: &Literal, name: &str) -> bool {
    match &literal.is {
        Kind::Integer(_) => matches!(name, "integer" | "number"),
        // As JSON Schema has it: 1.0 is an integer.
        Kind::Number(Some(value)) => {
            let is_whole = value.as_f64().is_some_and(|value| value.fract() == 0.0);
            name == "number" || (name == "integer" && is_whole)
        }
        _ => type_of(literal) == name,
    }
}

fn article(noun: &str) -> String {
    match noun {
        "null" => noun.to_owned(),
        "array" | "integer" | "object" => format!("an {noun}"),
        _ => format!("a {noun}"),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    /// JSON as a literal, all on line 1; `{"?": …}` stands for what is not known.
    fn literal(value: &Value) -> Literal {
        let is = match value {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Boolean(*value),
            Value::Number(value) if value.is_f64() => Kind::Number(Some(value.clone())),
            Value::Number(value) => Kind::Integer(Some(value.clone())),
            Value::String(value) => Kind::String(Some(value.clone())),
            Value::Array(items) => Kind::Array(Items {
                items: items.iter().map(literal).collect(),
                open: false,
            }),
            Value::Object(fields) if fields.contains_key("?") => Kind::Unknown("x".to_owned()),
            Value::Object(fields) => Kind::Object(Fields {
                fields: fields
                    .iter()
                    .filter(|(name, _)| *name != "**")
                    .map(|(name, value)| (name.clone(), literal(value)))
                    .collect(),
                open: fields.contains_key("**"),
            }),
        };
        Literal { line: 1, is }
    }

    fn told(schema: &Value, value: &Value) -> String {
        let found = input(schema, &literal(value));
        let lines = found.into_iter().map(|it| match it.hint {
            Some(hint) => format!("{}: {}; {hint}", it.code, it.problem),
            None => format!("{}: {}", it.code, it.problem),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn orders() -> Value {
        json!({
            "type": "object",
            "properties": {
                "month": {"type": "string"},
                "rows": {"type": "array", "items": {"$ref": "#/$defs/Row"}},
                "kind": {"enum": ["open", "paid"]},
                "note": {"anyOf": [{"$ref": "#/$defs/Note"}, {"type": "null"}]},
                "page": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
                "rate": {"type": "number"},
            },
            "required": ["month"],
            "$defs": {
                "Row": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
                "Note": {"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": false},
            },
        })
    }

    #[test]
    fn what_fits_is_not_told() {
        for value in [
            json!({"month": "2026-10"}),
            json!({"month": "m", "rows": [{"id": 1}, {"id": 1.0, "more": 2}], "kind": "paid"}),
            json!({"month": "m", "note": null, "page": null, "rate": 1}),
            json!({"month": "m", "note": {"text": "t"}, "page": 9, "rate": 0.5}),
            json!({"month": {"?": 1}, "rows": {"?": 1}}),
            json!({"**": 1}),
            json!({"?": 1}),
        ] {
            assert_eq!(told(&orders(), &value), "", "{value}");
        }
        assert_eq!(told(&json!({}), &json!({"any": 1})), "");
        assert_eq!(told(&json!(true), &json!(1)), "");
        assert_eq!(told(&json!({"$ref": "#"}), &json!({"any": 1})), "");
    }

    #[test]
    fn what_does_not_fit_is_told_without_its_value() {
        let value = json!({
            "rows": [{"id": "hunter2"}, {}],
            "kind": "hunter2",
            "note": {"txt": "hunter2"},
            "page": 10,
            "rate": "hunter2",
            "mnth": "hunter2",
        });
        let told_of = told(&orders(), &value);
        assert!(!told_of.contains("hunter2"), "{told_of}");
        assert_snapshot!(told_of, @r#"
        input_value: `input.kind` is none of the values that the task takes; choose one of "open", "paid"
        input_unknown: the task does not take `input.mnth`; the task takes `kind`, `month`, `note`, `page`, `rate`, `rows`
        input_unknown: the task does not take `input.note.txt`; the task takes `text`
        input_value: `input.page` is more than 9, the most that the task takes
        input_type: `input.rate` is a string, but the task takes number
        input_type: `input.rows[0].id` is a string, but the task takes integer
        input_missing: `input.rows[1]` lacks `id`, which the task needs; the task takes `id`
        input_missing: `input` lacks `month`, which the task needs; the task takes `kind`, `month`, `note`, `page`, `rate`, `rows`
        "#);
        assert_snapshot!(told(&orders(), &json!([1])), @"input_type: `input` is an array, but the task takes object");
        assert_snapshot!(told(&json!({"oneOf": [{"type": "string"}, {"type": "integer"}]}), &json!(true)), @"input_type: `input` has none of the forms that the task takes");
        assert_snapshot!(told(&json!({"const": 1}), &json!(2)), @"input_value: `input` is none of the values that the task takes; choose one of 1");
        assert_snapshot!(told(&json!({"properties": {}, "additionalProperties": {"type": "string"}}), &json!({"a": 1})), @"input_type: `input.a` is an integer, but the task takes string");
    }

    #[test]
    fn a_parameter_is_held_against_its_part() {
        let value = literal(&json!([{"id": true}]));
        let found = parameter(&orders(), "rows", &value);
        assert_snapshot!(found[0].problem, @"`rows[0].id` is a boolean, but the task takes integer");
        assert_eq!(parameter(&orders(), "none", &value), []);
    }
}
