//! What is alive in Vault, asked with root.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::World;

/// A token that lives: the host's log-in or an attempt's child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Living {
    /// Its policies.
    pub policies: Vec<String>,
    /// Its metadata.
    pub meta: BTreeMap<String, String>,
}

impl World {
    /// Every token that lives, root's aside.
    pub async fn living(&self) -> Result<Vec<Living>> {
        let bao = self.bao()?;
        let (_, list) = bao.root("LIST", "auth/token/accessors", None).await?;
        let accessors = list
            .pointer("/data/keys")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut living = Vec::new();
        for accessor in accessors {
            let (status, answer) = bao
                .root(
                    "POST",
                    "auth/token/lookup-accessor",
                    Some(json!({ "accessor": accessor })),
                )
                .await?;
            // It can die between the two questions.
            if status != 200 || answer.get("data").is_none_or(Value::is_null) {
                continue;
            }
            let token = Living::of(&answer)?;
            if token.policies != ["root"] {
                living.push(token);
            }
        }
        Ok(living)
    }
}

impl Living {
    fn of(answer: &Value) -> Result<Self> {
        let data = answer.get("data").context("no data")?;
        let strings = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let policies = data
            .get("policies")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(strings)
            .collect();
        let meta = data
            .get("meta")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), strings(value)))
            .collect();
        Ok(Self { policies, meta })
    }
}
