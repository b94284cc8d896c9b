//! The token of somebody who reviews what the host may do.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cofferdam_devkit::openbao::OpenBao;
use cofferdam_devkit::process::write_private;
use serde_json::{Value, json};

/// Makes a token with the reviewer's policy, as `bao token create` does, and
/// writes it to the file. Gives its accessor.
pub(super) async fn make_token(bao: &OpenBao, file: &Path) -> Result<Value> {
    let body = json!({
        "policies": ["cofferdam-reviewer"], "no_default_policy": true,
        "no_parent": true, "ttl": "15m",
    });
    let (_, made) = bao.root("POST", "auth/token/create", Some(body)).await?;
    let token = made.pointer("/auth/client_token").and_then(Value::as_str);
    write_private(file, token.context("Vault made no token")?)?;
    let accessor = made.pointer("/auth/accessor");
    accessor.cloned().context("Vault made no token")
}

/// Ends the token.
pub(super) async fn end_token(bao: &OpenBao, accessor: &Value) -> Result<()> {
    let body = json!({ "accessor": accessor });
    let (status, _) = bao
        .root("POST", "auth/token/revoke-accessor", Some(body))
        .await?;
    ensure!(status == 204, "the reviewer's token was not revoked");
    Ok(())
}
