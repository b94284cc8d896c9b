//! The `[[server.allow]]` tables: who may call, and for which tasks.

use std::fmt;

use globset::{Glob, GlobMatcher};
use serde::{Deserialize, Deserializer};

use crate::config::value::bounded;
use crate::name::TaskName;

/// One rule. A caller that several rules name may run the tasks of all of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Users of this machine, by name or number.
    #[serde(default)]
    pub users: Vec<Account>,
    /// Groups of this machine, by name or number.
    #[serde(default)]
    pub groups: Vec<Account>,
    /// Who comes over TCP with a certificate: its name, or the beginning of names.
    #[serde(default, deserialize_with = "certificates")]
    pub certificates: Vec<NamePattern>,
    /// Who comes over TCP with a token: its subject, or the beginning of subjects.
    #[serde(default)]
    pub subjects: Vec<NamePattern>,
    /// Task names, or patterns such as `invoice-*`.
    #[serde(default)]
    pub tasks: Vec<TaskPattern>,
    /// Whether they may read the service's numbers, which name every task.
    #[serde(default)]
    pub metrics: bool,
}

/// A user or a group, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Account {
    /// A number of the kernel's.
    Id(u32),
    /// A name; looked up when the service starts and when it reloads.
    Name(String),
}

/// A task's name, or a pattern with `*`.
#[derive(Debug, Clone)]
pub struct TaskPattern(GlobMatcher);

/// The name of a caller over TCP or, with a `*` at the end, the beginning of
/// names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    start: String,
    is_whole: bool,
}

impl NamePattern {
    /// Whether it names this caller.
    pub fn covers(&self, name: &str) -> bool {
        match self.is_whole {
            true => name == self.start,
            false => name.starts_with(&self.start),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_whole { "" } else { "*" };
        write!(f, "{}{star}", self.start)
    }
}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (start, is_whole) = match text.strip_suffix('*') {
            Some(start) => (start, false),
            None => (text.as_str(), true),
        };
        if text.is_empty() || start.contains('*') || text.chars().any(char::is_control) {
            return Err(serde::de::Error::custom(format!(
                "`{}` is not the name of a caller\nwrite the whole name, or its beginning and one \
                 `*` at the end, such as `spiffe://example.org/airflow/*`",
                bounded(&text)
            )));
        }
        Ok(Self {
            start: start.to_owned(),
            is_whole,
        })
    }
}

/// Names of certificates say of which kind they are.
fn certificates<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NamePattern>, D::Error> {
    let names = Vec::<NamePattern>::deserialize(deserializer)?;
    let kindless = |name: &&NamePattern| {
        let is_all = !name.is_whole && name.start.is_empty();
        !is_all && !name.start.contains(':')
    };
    match names.iter().find(kindless) {
        None => Ok(names),
        Some(name) => Err(serde::de::Error::custom(format!(
            "`{}` does not say which name of a certificate it is\nwrite `spiffe://…`, `dns:…` or \
             `cn:…`",
            bounded(&name.start)
        ))),
    }
}

impl TaskPattern {
    /// Whether it names this task.
    pub fn covers(&self, task: &TaskName) -> bool {
        self.0.is_match(task.as_str())
    }
}

impl PartialEq for TaskPattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl Eq for TaskPattern {}

impl<'de> Deserialize<'de> for TaskPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '*');
        let glob = Glob::new(&text)
            .ok()
            .filter(|_| !text.is_empty() && text.chars().all(is_plain) && !text.contains("**"));
        match glob {
            Some(glob) => Ok(Self(glob.compile_matcher())),
            None => Err(serde::de::Error::custom(format!(
                "`{}` is not a task's name or pattern\nwrite a name such as `invoice-sync`, or a \
                 pattern such as `invoice-*`",
                bounded(&text)
            ))),
        }
    }
}
