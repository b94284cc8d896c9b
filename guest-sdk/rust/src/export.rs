//! What the attribute `task` expands to calls these.

use serde::Serialize;
use serde::de::DeserializeOwned;

use schemars::{JsonSchema, Schema, schema_for};

use crate::bindings::cofferdam::task::outcome::Failed;
use crate::{Context, TaskError, logger};

/// The export `run`.
pub type Run = fn(String) -> Result<String, Failed>;

/// The export `describe`.
pub type Describe = fn() -> String;

/// JSON in, the task, JSON out.
pub fn run<I, O, E>(task: fn(Context, I) -> Result<O, E>, input: &str) -> Result<String, Failed>
where
    I: DeserializeOwned,
    O: Serialize,
    E: Into<TaskError>,
{
    logger::install();
    let input = decode(input)?;
    let output = task(Context::new(), input).map_err(Into::into)?;
    Ok(encode(&output)?)
}

/// The schemas of a task's input and output, in JSON.
pub fn describe<I, O, E>(_task: fn(Context, I) -> Result<O, E>) -> String
where
    I: JsonSchema,
    O: JsonSchema,
{
    #[derive(Serialize)]
    struct Description {
        input_schema: Schema,
        output_schema: Schema,
    }
    let description = Description {
        input_schema: schema_for!(I),
        output_schema: schema_for!(O),
    };
    // A schema is plain JSON with text keys; the host refuses an empty answer.
    serde_json::to_string(&description).unwrap_or_default()
}

fn decode<I: DeserializeOwned>(input: &str) -> Result<I, TaskError> {
    let mut json = serde_json::Deserializer::from_str(input);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        match path.as_str() {
            // The whole document.
            "." => TaskError::fail(format_args!("input: {}", error.inner())),
            path if path.starts_with('[') => {
                TaskError::fail(format_args!("input{path}: {}", error.inner()))
            }
            path => TaskError::fail(format_args!("input.{path}: {}", error.inner())),
        }
    })?;
    json.end()
        .map_err(|error| TaskError::fail(format_args!("input: {error}")))?;
    Ok(value)
}

fn encode<O: Serialize>(output: &O) -> Result<String, TaskError> {
    serde_json::to_string(output).map_err(|error| {
        TaskError::fail(format_args!(
            "the result cannot be written as JSON: {error}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Input {
        #[allow(dead_code, reason = "only its path matters")]
        rows: Vec<Row>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    struct Row {
        #[allow(dead_code, reason = "only its path matters")]
        amount: u32,
    }

    #[test]
    fn an_input_error_names_the_place() {
        let error = |text| decode::<Input>(text).unwrap_err().to_string();
        assert_eq!(
            error(r#"{"rows":[{"amount":1},{"amount":"x"}]}"#),
            "input.rows[1].amount: invalid type: string \"x\", expected u32 at line 1 column 35"
        );
        assert_eq!(
            error("7"),
            "input: invalid type: integer `7`, expected struct Input at line 1 column 1"
        );
        assert_eq!(
            error("{}"),
            "input: missing field `rows` at line 1 column 2"
        );
        assert_eq!(
            error(r#"{"rows":[]} x"#),
            "input: trailing characters at line 1 column 13"
        );
        assert!(decode::<Input>(r#"{"rows":[{"amount":1}]}"#).is_ok());
    }

    #[test]
    fn describes_input_and_output() {
        fn task(_: Context, _: Input) -> Result<BTreeMap<String, u32>, TaskError> {
            Err(TaskError::skip(""))
        }
        let text = describe(task);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["input_schema"]["required"][0], "rows");
        assert_eq!(json["output_schema"]["type"], "object");
    }

    #[test]
    fn a_result_that_json_cannot_hold_is_a_failure() {
        let output = BTreeMap::from([((1, 2), 3)]);
        let error = encode(&output).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the result cannot be written as JSON: key must be a string"
        );
    }
}
