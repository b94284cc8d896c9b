//! A role and a JWT: `jwt`, `kubernetes`, `gcp` and `azure`.

use http::Method;
use serde::Serialize;

use super::Login;
use super::answer::{Asked, text};
use crate::secret::read_file;
use crate::vault::VaultError;
use crate::vault::client::{Call, Client};
use crate::vault::config::{AzureMachine, JwtConfig, JwtMethod};
use crate::vault::error::Operation;

/// The body of `auth/:mount/login`, the same for all four.
#[derive(Serialize)]
struct Body<'a> {
    role: &'a str,
    jwt: &'a str,
    #[serde(flatten)]
    machine: Option<&'a AzureMachine>,
}

/// Reads the JWT anew and shows it.
pub(super) async fn log_in(config: &JwtConfig, client: &Client) -> Result<Login, VaultError> {
    let jwt = read_file(&config.jwt_file, config.privacy)?;
    let call = Call::with_body(
        Operation::LogIn,
        Method::POST,
        &format!("auth/{}/login", config.mount),
        &Body {
            role: config.role.as_str(),
            jwt: text(&jwt)?,
            machine: config.machine.as_ref(),
        },
    )?;
    let asked = Asked {
        mount: &config.mount,
        cure: cure(config.method),
        obtained_by: vec![jwt],
    };
    asked.send(client, &call).await
}

fn cure(method: JwtMethod) -> &'static str {
    match method {
        JwtMethod::Jwt => {
            "the JWT in `jwt_file` is expired, or its signature, audience or claims are not what the role is bound to; or there is no such role"
        }
        JwtMethod::Kubernetes => {
            "the cluster does not vouch for the service-account token, or the role is bound to another account, namespace or audience"
        }
        JwtMethod::Gcp => {
            "the JWT in `jwt_file` is expired or has another audience than `vault/ROLE`, or the role is bound to another account, project or zone"
        }
        JwtMethod::Azure => {
            "the JWT in `jwt_file` is expired or has another audience than the mount's `resource`, or the role is bound to another machine than `machine` names"
        }
    }
}
