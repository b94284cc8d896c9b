//! What the server itself says: which tokens live, and what was asked of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::OpenBao;

/// A token that lives: a host's log-in or an attempt's child. No `Debug`: it
/// holds an accessor.
#[derive(Clone, PartialEq, Eq)]
pub struct Living {
    /// What names it.
    pub accessor: String,
    /// Its policies.
    pub policies: Vec<String>,
    /// Its metadata.
    pub meta: BTreeMap<String, String>,
    /// Seconds that it has left.
    pub ttl: u64,
    /// Its longest life from its creation in seconds; 0 when none was set.
    pub explicit_max_ttl: u64,
}

impl OpenBao {
    /// Every token that lives, root's aside.
    pub async fn living(&self) -> Result<Vec<Living>> {
        let (_, list) = self.root("LIST", "auth/token/accessors", None).await?;
        let accessors = list.pointer("/data/keys").and_then(Value::as_array);
        let mut living = Vec::new();
        for accessor in accessors.context("the server lists no accessors")? {
            let body = json!({ "accessor": accessor });
            let (status, answer) = self
                .root("POST", "auth/token/lookup-accessor", Some(body))
                .await?;
            // It can die between the two questions.
            let data = answer.get("data").filter(|data| data.is_object());
            if let Some(data) = data.filter(|_| status == 200) {
                let token = Living::of(accessor, data)?;
                if token.policies != ["root"] {
                    living.push(token);
                }
            }
        }
        Ok(living)
    }

    /// The policies of every token that lives, for assertions.
    pub async fn living_policies(&self) -> Result<Vec<Vec<String>>> {
        let living = self.living().await?;
        Ok(living.into_iter().map(|token| token.policies).collect())
    }

    /// Every answer that the server's own audit has so far. Tokens and
    /// accessors in it are keyed hashes, see [`OpenBao::audit_hash`].
    pub fn answers(&self) -> Result<Vec<Value>> {
        let text =
            std::fs::read_to_string(self.audit_file()).context("cannot read the server's audit")?;
        // The server may be in the middle of its last line.
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        let lines: Result<Vec<Value>, _> = whole.lines().map(serde_json::from_str).collect();
        let mut lines = lines.context("the server's audit is not JSON")?;
        lines.retain(|line| line.get("type") == Some(&json!("response")));
        Ok(lines)
    }

    /// The answers to requests whose path starts so.
    pub fn answers_to(&self, path: &str) -> Result<Vec<Value>> {
        let mut answers = self.answers()?;
        answers.retain(|answer| {
            let asked = answer.pointer("/request/path").and_then(Value::as_str);
            asked.is_some_and(|asked| asked.starts_with(path))
        });
        Ok(answers)
    }

    /// How many tokens came out of requests whose path starts so.
    pub fn tokens_made(&self, path: &str) -> Result<usize> {
        let answers = self.answers_to(path)?;
        let made = answers
            .iter()
            .filter(|answer| answer.pointer("/response/auth/accessor").is_some());
        Ok(made.count())
    }

    /// How many tokens were minted through a token role.
    pub fn minted(&self) -> Result<usize> {
        self.tokens_made("auth/token/create/")
    }

    /// The hash under which the server's audit shows a token or an accessor.
    pub async fn audit_hash(&self, value: &str) -> Result<String> {
        let body = json!({ "input": value });
        let (_, answer) = self.root("POST", "sys/audit-hash/main", Some(body)).await?;
        let hash = answer.pointer("/data/hash").and_then(Value::as_str);
        Ok(hash.context("the server makes no hash")?.to_owned())
    }
}

impl Living {
    fn of(accessor: &Value, data: &Value) -> Result<Self> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let policies = data.get("policies").and_then(Value::as_array);
        let meta = data.get("meta").and_then(Value::as_object);
        let number = |name: &str| data.get(name).and_then(Value::as_u64).unwrap_or_default();
        Ok(Self {
            accessor: text(accessor),
            policies: policies
                .context("a token without policies")?
                .iter()
                .map(text)
                .collect(),
            meta: meta
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), text(value)))
                .collect(),
            ttl: number("ttl"),
            explicit_max_ttl: number("explicit_max_ttl"),
        })
    }
}
