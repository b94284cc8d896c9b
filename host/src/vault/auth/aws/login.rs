//! The request to Vault.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde::Serialize;

use super::credentials::credentials;
use super::sign::{BODY, sign};
use crate::secret::Secret;
use crate::vault::VaultError;
use crate::vault::auth::Login;
use crate::vault::auth::answer::Asked;
use crate::vault::client::{Call, Client};
use crate::vault::config::AwsConfig;
use crate::vault::error::Operation;

/// The body of `auth/:mount/login`; the last three are base64.
#[derive(Serialize)]
struct Body<'a> {
    role: &'a str,
    iam_http_request_method: &'a str,
    iam_request_url: String,
    iam_request_body: String,
    /// An object: each header with a list of its values.
    iam_request_headers: String,
}

/// Asks the usual chain for credentials, signs, and shows the signature.
pub(in crate::vault::auth) async fn log_in(
    config: &AwsConfig,
    client: &Client,
) -> Result<Login, VaultError> {
    let credentials = credentials(config, client.timeout()).await?;
    let faulty = |fault| VaultError::Protocol {
        operation: Operation::LogIn,
        fault,
    };
    // AWS refuses a date that is minutes off, as this host's clock may be.
    let now = client
        .time_if_known()
        .map_or_else(SystemTime::now, SystemTime::from);
    let headers =
        sign(config, &credentials, now).ok_or(faulty("the request to STS cannot be signed"))?;
    let headers =
        serde_json::to_vec(&headers).map_err(|_| faulty("the headers cannot be written"))?;
    let call = Call::with_body(
        Operation::LogIn,
        Method::POST,
        &format!("auth/{}/login", config.mount),
        &Body {
            role: config.role.as_str(),
            iam_http_request_method: Method::POST.as_str(),
            iam_request_url: STANDARD.encode(config.sts_endpoint.as_str()),
            iam_request_body: STANDARD.encode(BODY),
            iam_request_headers: STANDARD.encode(headers),
        },
    )?;
    let shown = [
        Some(credentials.secret_access_key()),
        credentials.session_token(),
    ];
    let asked = Asked {
        mount: &config.mount,
        cure: "AWS does not know the signature (wrong or expired credentials, or a clock that is minutes off), the role is bound to another ARN, or `server_id_header` or `sts_endpoint` is not the one that the mount expects",
        obtained_by: shown.into_iter().flatten().map(Secret::new).collect(),
    };
    asked.send(client, &call).await
}
