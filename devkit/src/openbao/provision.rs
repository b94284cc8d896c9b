//! What an administrator sets up before Cofferdam's first run, with generic
//! calls only: engines, a log-in, a secret, a key. Policies and the token role
//! come from our own `cofferdam policy --write`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::OpenBao;
use crate::process::write_private;

/// The AppRole that the host logs in with.
pub const HOST_ROLE: &str = "cofferdam-host";
/// The policy of that AppRole; `cofferdam policy --host --write` writes it.
pub const HOST_POLICY: &str = "cofferdam-host";

/// What to set up.
#[derive(Debug, Clone, Default)]
pub struct Provision<'a> {
    /// Secrets of the KV v2 engine at `secret`: path and fields.
    pub kv2: Vec<(&'a str, Value)>,
    /// Secrets of the KV v1 engine at `kv1`: path and fields.
    pub kv1: Vec<(&'a str, Value)>,
    /// Keys of the transit engine at `transit`: name and type, such as
    /// `ed25519` or `aes256-gcm96`.
    pub transit: Vec<(&'a str, &'a str)>,
}

/// The host's log-in, as files that only their owner may read.
#[derive(Debug, Clone)]
pub struct Provisioned {
    /// The AppRole's role id.
    pub role_id_file: PathBuf,
    /// A secret-id without a use limit.
    pub secret_id_file: PathBuf,
    /// A root token, for `cofferdam policy --write --admin-token-file`.
    pub admin_token_file: PathBuf,
}

impl OpenBao {
    /// Sets a fresh server up; the credentials go into files in `folder`.
    pub async fn provision(&self, what: &Provision<'_>, folder: &Path) -> Result<Provisioned> {
        self.change("sys/auth/approle", json!({"type": "approle"}))
            .await?;
        self.change(
            "sys/mounts/kv1",
            json!({"type": "kv", "options": {"version": "1"}}),
        )
        .await?;
        self.change("sys/mounts/transit", json!({"type": "transit"}))
            .await?;
        for (path, fields) in &what.kv2 {
            self.change(&format!("secret/data/{path}"), json!({"data": fields}))
                .await?;
        }
        for (path, fields) in &what.kv1 {
            self.change(&format!("kv1/{path}"), fields.clone()).await?;
        }
        for (name, kind) in &what.transit {
            self.change(&format!("transit/keys/{name}"), json!({"type": kind}))
                .await?;
        }
        self.log_in_files(folder).await
    }

    /// Makes the AppRole and writes its ids.
    async fn log_in_files(&self, folder: &Path) -> Result<Provisioned> {
        let role = format!("auth/approle/role/{HOST_ROLE}");
        self.change(
            &role,
            json!({
                "token_policies": [HOST_POLICY],
                "token_no_default_policy": true,
                "token_type": "service",
                "token_ttl": "1h",
                "token_max_ttl": "4h",
            }),
        )
        .await?;
        let (_, role_id) = self.root("GET", &format!("{role}/role-id"), None).await?;
        let secret_id = self.change(&format!("{role}/secret-id"), json!({})).await?;

        let files = Provisioned {
            role_id_file: folder.join("role-id"),
            secret_id_file: folder.join("secret-id"),
            admin_token_file: folder.join("admin-token"),
        };
        write_private(&files.role_id_file, text(&role_id, "role_id")?)?;
        write_private(&files.secret_id_file, text(&secret_id, "secret_id")?)?;
        write_private(&files.admin_token_file, self.root_token())?;
        Ok(files)
    }

    /// A POST that must succeed.
    pub(crate) async fn change(&self, path: &str, body: Value) -> Result<Value> {
        let (status, answer) = self.root("POST", path, Some(body)).await?;
        if !(200..300).contains(&status) {
            let errors = answer.get("errors").unwrap_or(&Value::Null);
            bail!("OpenBao answered {status} to POST {path}: {errors}");
        }
        Ok(answer)
    }
}

fn text<'a>(answer: &'a Value, field: &str) -> Result<&'a str> {
    let value = answer.pointer(&format!("/data/{field}"));
    value
        .and_then(Value::as_str)
        .with_context(|| format!("OpenBao's answer has no {field}"))
}
