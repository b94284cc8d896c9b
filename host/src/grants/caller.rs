//! Who may run a task.

use serde::Deserialize;

use crate::config::value::bounded;
use crate::identity::{Assurance, Identity};

/// The `[caller]` table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerRule {
    /// The dag_ids that may run the task; exact names, at least one.
    #[serde(deserialize_with = "dags")]
    pub dags: Vec<String>,
    /// The weakest assurance that is accepted. Default attested.
    #[serde(default = "attested")]
    pub identity: Assurance,
}

impl CallerRule {
    /// Whether this identity may run the task.
    pub fn admits(&self, identity: &Identity) -> bool {
        let assured = match self.identity {
            Assurance::Claimed => true,
            Assurance::Attested => identity.assurance() == Assurance::Attested,
        };
        assured && self.dags.iter().any(|dag| dag == identity.dag_id())
    }
}

fn attested() -> Assurance {
    Assurance::Attested
}

fn dags<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<DagName>::deserialize(deserializer)?;
    if names.is_empty() {
        return Err(serde::de::Error::custom(
            "no dag may run the task\nname each dag_id that may",
        ));
    }
    Ok(names.into_iter().map(|DagName(name)| name).collect())
}

/// A dag_id as [`Identity`] accepts it: any other would match nobody.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct DagName(String);

impl TryFrom<String> for DagName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let shown = bounded(&name);
        if name.contains(['*', '?']) {
            return Err(format!(
                "`{shown}` is a pattern\nname each dag_id that may run the task; patterns would \
                 admit dags that nobody reviewed"
            ));
        }
        let parts = crate::identity::IdentityParts {
            bundle: String::new(),
            dag_id: name.clone(),
            task_id: "x".to_owned(),
            run_id: "x".to_owned(),
            try_number: 1,
            map_index: -1,
            logical_date: None,
            assurance: Assurance::Claimed,
        };
        match parts.check() {
            Ok(_) => Ok(Self(name)),
            Err(error) => Err(format!(
                "`{shown}` cannot be a dag_id here: {error}\nrename the dag, or correct the name"
            )),
        }
    }
}
