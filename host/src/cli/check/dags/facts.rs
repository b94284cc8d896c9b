//! What stands in a DAG file, as `dags.py` tells it. Nothing is judged here.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Number, Value};

/// One file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum FileFacts {
    /// It was read.
    Read(Facts),
    /// It was not.
    Unread(Trouble),
}

/// Why a file was not read.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trouble {
    /// Counted from 1.
    pub(super) line: Option<usize>,
    /// Follows the file's name.
    pub(super) message: String,
}

impl Trouble {
    /// A trouble with the file as a whole.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            line: None,
            message: message.into(),
        }
    }
}

/// What stands in a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Facts {
    pub(super) dags: Vec<DagFact>,
    pub(super) asks: Vec<AskFact>,
    pub(super) functions: Vec<FunctionFact>,
}

/// A DAG that comes into being.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DagFact {
    pub(super) line: usize,
    pub(super) id: Literal,
}

/// An operator, or one that is mapped.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskFact {
    pub(super) line: usize,
    pub(super) how: How,
    /// The place of its DAG in [`Facts::dags`].
    pub(super) dag: Option<usize>,
    pub(super) task: Option<Literal>,
    /// It has arguments that the source does not show.
    pub(super) open: bool,
    /// None when no input is given; several when it is mapped.
    pub(super) inputs: Vec<Literal>,
    pub(super) limits: Vec<Literal>,
}

/// How a task is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// `CofferdamOperator(…)`.
    Operator,
    /// `CofferdamOperator.partial(…).expand(…)`.
    Mapped,
    /// A class below it, of which the source tells nothing here.
    Subclass,
}

/// A function under `@task.cofferdam`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FunctionFact {
    /// The decorator's.
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) task: Option<Literal>,
    pub(super) limits: Option<Literal>,
    /// The decorator has arguments that the source does not show.
    pub(super) open: bool,
    pub(super) parameters: Vec<Parameter>,
    /// It takes `*args` or `**kwargs`.
    pub(super) variadic: bool,
    #[serde(rename = "async")]
    pub(super) is_async: bool,
    /// The first line of its body that would do something.
    pub(super) body: Option<usize>,
    pub(super) calls: Vec<Call>,
}

/// A parameter of such a function.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) default: Option<Literal>,
}

/// A call of such a function: here a task comes into being.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) line: usize,
    pub(super) dag: Option<usize>,
    /// The task that `.override(task=…)` names.
    pub(super) task: Option<Literal>,
    /// Arguments are unpacked.
    pub(super) open: bool,
    /// Arguments without a parameter.
    pub(super) surplus: usize,
    /// Several values when it is mapped.
    pub(super) arguments: BTreeMap<String, Vec<Literal>>,
}

/// A literal, with the line of each of its parts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Literal {
    pub(super) line: usize,
    pub(super) is: Kind,
}

/// What a literal is. A value that no machine's number or text holds is absent;
/// its type is known all the same.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Null,
    Boolean(bool),
    Integer(Option<Number>),
    Number(Option<Number>),
    String(Option<String>),
    Array(Items),
    Object(Fields),
    /// No JSON value: what it is in Python.
    Foreign(String),
    /// Not known from the source: what stands there.
    Unknown(String),
}

/// An array. When it is open, its items are not known.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Items {
    pub(super) items: Vec<Literal>,
    pub(super) open: bool,
}

/// An object. When it is open, it may have more fields than these.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    pub(super) fields: BTreeMap<String, Literal>,
    pub(super) open: bool,
}

impl Literal {
    /// Its text, or what stands there instead of one.
    pub(super) fn text(&self) -> Result<&str, &str> {
        match &self.is {
            Kind::String(Some(text)) => Ok(text),
            Kind::Unknown(what) => Err(what),
            Kind::String(None) => Err("a text that is put together"),
            _ => Err("no text"),
        }
    }

    /// Its value, when all of it is known.
    pub(super) fn value(&self) -> Option<Value> {
        Some(match &self.is {
            Kind::Null => Value::Null,
            Kind::Boolean(value) => Value::Bool(*value),
            Kind::Integer(value) | Kind::Number(value) => Value::Number(value.clone()?),
            Kind::String(value) => Value::String(value.clone()?),
            Kind::Array(Items { items, open: false }) => {
                Value::Array(items.iter().map(Self::value).collect::<Option<_>>()?)
            }
            Kind::Object(Fields {
                fields,
                open: false,
            }) => {
                let field = |(name, value): (&String, &Self)| Some((name.clone(), value.value()?));
                Value::Object(fields.iter().map(field).collect::<Option<_>>()?)
            }
            Kind::Array(_) | Kind::Object(_) | Kind::Foreign(_) | Kind::Unknown(_) => return None,
        })
    }

    /// The places in it that are not known from the source, by path and what
    /// stands there.
    pub(super) fn unknown<'a>(&'a self, path: &str, found: &mut Vec<(String, &'a str)>) {
        match &self.is {
            Kind::Unknown(what) => found.push((path.to_owned(), what)),
            Kind::Array(array) => {
                if array.open {
                    found.push((path.to_owned(), "items that are unpacked"));
                }
                for (index, item) in array.items.iter().enumerate() {
                    item.unknown(&format!("{path}[{index}]"), found);
                }
            }
            Kind::Object(object) => {
                if object.open {
                    found.push((path.to_owned(), "fields that are unpacked or computed"));
                }
                for (name, field) in &object.fields {
                    field.unknown(&format!("{path}.{name}"), found);
                }
            }
            _ => {}
        }
    }
}
