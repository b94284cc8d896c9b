//! Functions under `@task.cofferdam`: their signatures and their calls.

use std::path::Path;

use super::super::facts::{Call, Facts, Fields, FunctionFact, Kind, Literal};
use super::super::finding::{Code, Finding, Severity};
use super::super::schema::{self, Mismatch};
use super::{Judge, Place, dag_of};

/// Names that Airflow fills in by itself when a task runs (the keys of `Context` in
/// Airflow 3): an argument of such a name need not be given.
const CONTEXT: &[&str] = &[
    "asset_state_store",
    "conn",
    "dag",
    "dag_run",
    "data_interval_end",
    "data_interval_start",
    "ds",
    "ds_nodash",
    "exception",
    "expanded_ti_count",
    "inlet_events",
    "inlets",
    "logical_date",
    "macros",
    "map_index_template",
    "outlet_events",
    "outlets",
    "params",
    "partition_date",
    "partition_key",
    "prev_data_interval_end_success",
    "prev_data_interval_start_success",
    "prev_end_date_success",
    "prev_start_date_success",
    "reason",
    "run_id",
    "start_date",
    "task",
    "task_instance",
    "task_instance_key_str",
    "task_reschedule_count",
    "task_state_store",
    "templates_dict",
    "test_mode",
    "ti",
    "triggering_asset_events",
    "try_number",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
    "var",
];

impl Judge<'_> {
    pub(super) fn function(&mut self, file: &Path, facts: &Facts, function: &FunctionFact) {
        let called = |call: &'_ Call| (call.line, call.dag, dag_of(facts, call.dag));
        let uncalled = [(
            function.line,
            None,
            Err("the function is not called in this file"),
        )];
        let calls: Vec<_> = function
            .calls
            .iter()
            .map(|call| (called(call), Some(call)))
            .collect();
        let calls = match calls.is_empty() {
            true => uncalled.into_iter().map(|place| (place, None)).collect(),
            false => calls,
        };
        for ((line, index, dag), call) in calls {
            let place = Place { file, line, dag };
            let overridden = call.and_then(|call| call.task.as_ref());
            let named = overridden.or(function.task.as_ref());
            let at_function = Place {
                line: function.line,
                ..place
            };
            let found = self.task(place, facts, index, named, function.open);
            let name = found.as_ref().map(|(name, _)| name.as_str());
            self.is_signature(at_function, name, function);
            let Some((name, task)) = found else {
                continue;
            };
            if let Some(task) = task {
                if let Ok(schema) = &task.schema {
                    let held = schema::input(schema, &signature(function));
                    let held = held.into_iter().map(|it| for_signature(it, function));
                    self.mismatches(at_function, &name, held.collect());
                    self.values(place, &name, schema, function, call);
                }
                if let Some(asked) = &function.limits {
                    self.limits(at_function, &name, task, asked);
                }
            }
            if let Some(call) = call {
                self.arguments(place, &name, function, call);
            }
            let mut unknown = Vec::new();
            if let Some(call) = call {
                for (name, values) in &call.arguments {
                    values
                        .iter()
                        .for_each(|value| value.unknown(name, &mut unknown));
                }
                if call.open {
                    unknown.push(("the arguments".to_owned(), "some are unpacked"));
                }
            }
            if let Some(asked) = &function.limits {
                asked.unknown("limits", &mut unknown);
            }
            self.unknown(place, &name, &unknown);
        }
    }

    /// A decorated function is a signature and nothing else: the provider refuses any
    /// other, since its body would never run.
    fn is_signature(&mut self, place: Place<'_>, task: Option<&str>, function: &FunctionFact) {
        let name = &function.name;
        let wrong = if function.is_async {
            Some((
                function.line,
                format!("`{name}` is async, and its body never runs"),
                "write a plain `def`",
            ))
        } else if let Some(line) = function.body {
            Some((
                line,
                format!("the body of `{name}` would never run"),
                "the task is a component of its own; leave a docstring, `...` or `pass`",
            ))
        } else if function.variadic {
            Some((
                function.line,
                format!("`{name}` takes arguments without a name"),
                "name each parameter: they are the fields of the input",
            ))
        } else {
            None
        };
        if let Some((line, problem, hint)) = wrong {
            let finding = Finding::new(
                Severity::Error,
                Code::NotASignature,
                place.file,
                Some(line),
                problem,
            );
            self.add(finding.of(task, None).hint(hint));
        }
    }

    /// The arguments of a call, and the defaults of those that it leaves out.
    fn values(
        &mut self,
        place: Place<'_>,
        task: &str,
        schema: &serde_json::Value,
        function: &FunctionFact,
        call: Option<&Call>,
    ) {
        for parameter in &function.parameters {
            let name = parameter.name.as_str();
            let given = call.and_then(|call| call.arguments.get(name));
            let default = match CONTEXT.contains(&name) {
                true => None,
                false => parameter.default.as_ref(),
            };
            let is_open = call.is_some_and(|call| call.open);
            let values = match (given, default) {
                (Some(values), _) => values.as_slice(),
                (None, Some(default)) if !is_open => std::slice::from_ref(default),
                (None, _) => &[],
            };
            for value in values {
                let held = schema::parameter(schema, name, value);
                self.mismatches(place, task, held);
            }
        }
    }

    /// Whether a call fits the function, which Airflow holds it against.
    fn arguments(&mut self, place: Place<'_>, task: &str, function: &FunctionFact, call: &Call) {
        let name = &function.name;
        let mut wrong = Vec::new();
        if call.surplus > 0 {
            wrong.push((
                Code::ArgumentUnknown,
                format!("`{name}` has fewer parameters than it is given arguments"),
            ));
        }
        for given in call.arguments.keys() {
            let is_known = function.parameters.iter().any(|one| &one.name == given);
            if !is_known && !function.variadic {
                let problem = format!("`{name}` has no parameter `{given}`");
                wrong.push((Code::ArgumentUnknown, problem));
            }
        }
        for parameter in &function.parameters {
            let is_filled = parameter.default.is_some()
                || call.open
                || CONTEXT.contains(&parameter.name.as_str());
            if !is_filled && !call.arguments.contains_key(&parameter.name) {
                let problem = format!("`{name}` is called without `{}`", parameter.name);
                wrong.push((Code::ArgumentMissing, problem));
            }
        }
        for (code, problem) in wrong {
            let finding = self.found(place, Severity::Error, code, problem);
            let hint = format!(
                "correct the call, or the function in line {}",
                function.line
            );
            self.add(finding.of(Some(task), place.dag.ok()).hint(hint));
        }
    }
}

/// The input that a function's parameters make, of which the values are not known.
fn signature(function: &FunctionFact) -> Literal {
    let parameter = |name: &str, line| {
        let is = Kind::Unknown(String::new());
        (name.to_owned(), Literal { line, is })
    };
    Literal {
        line: function.line,
        is: Kind::Object(Fields {
            fields: function
                .parameters
                .iter()
                .map(|one| parameter(&one.name, one.line))
                .collect(),
            open: function.variadic,
        }),
    }
}

/// What is told of an input, told of a function.
fn for_signature(mut mismatch: Mismatch, function: &FunctionFact) -> Mismatch {
    let name = &function.name;
    let problem = mismatch.problem.replace("`input.", "the parameter `");
    mismatch.problem = problem.replace("`input`", &format!("`{name}`"));
    mismatch
}
