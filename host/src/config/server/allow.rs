//! The `[[server.allow]]` tables: who may call, and for which tasks.

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
