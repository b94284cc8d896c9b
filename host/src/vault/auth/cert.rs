//! The client certificate of the connection.

use http::Method;
use serde::Serialize;

use super::Login;
use super::answer::Asked;
use crate::vault::VaultError;
use crate::vault::client::{Call, Client};
use crate::vault::config::CertConfig;
use crate::vault::error::Operation;

/// The body of `auth/:mount/login`.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// Logs in with what the TLS handshake showed.
pub(super) async fn log_in(config: &CertConfig, client: &Client) -> Result<Login, VaultError> {
    let call = Call::with_body(
        Operation::LogIn,
        Method::POST,
        &format!("auth/{}/login", config.mount),
        &Body {
            name: config.name.as_ref().map(|name| name.as_str()),
        },
    )?;
    let asked = Asked {
        mount: &config.mount,
        cure: "no role accepts the certificate in `client_cert_file`, or it is expired",
        obtained_by: Vec::new(),
    };
    asked.send(client, &call).await
}
