//! The credential of one call.

use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;
use tokio::time::timeout_at;

use super::exchange::fail;
use super::grant::HttpCredential;
use super::host::ClientHandle;
use super::inject::Rendered;
use crate::capability::Attempt;
use crate::capability::bindings::cofferdam::capabilities::http::{Error, TransportError};
use crate::capability::call::{Call, DenialKind};
use crate::capability::credential::CredentialSource;

/// The credential on a request.
pub(super) struct Applied<'a> {
    pub(super) rendered: Arc<Rendered>,
    source: &'a CredentialSource,
    generation: u64,
}

impl Applied<'_> {
    /// What the server thinks of it: one that it does not take may have been
    /// rotated since it was read.
    pub(super) fn judged(&self, attempt: &Attempt, status: StatusCode) {
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            attempt.credentials().doubt(self.source, self.generation);
        }
    }
}

/// The credential as it goes on the wire: asked for when there is none that may
/// be used, rendered once for each generation and grant.
pub(super) async fn apply<'a>(
    attempt: &Attempt,
    client: &ClientHandle,
    credential: &'a HttpCredential,
    mut call: Call,
    deadline: Instant,
) -> Result<(Applied<'a>, Call), Error> {
    let known = attempt.credentials().known(&credential.source);
    let current = match (known, &attempt.parts().session) {
        (Some(current), _) => current,
        (None, None) => {
            return Err(Error::Denied(
                call.deny(DenialKind::Internal, "no_authority"),
            ));
        }
        (None, Some(session)) => {
            let asked = attempt.credentials().current(session, &credential.source);
            match timeout_at(deadline.into(), asked).await {
                Err(_) => return Err(fail(call, TransportError::Timeout)),
                Ok(Err(error)) => {
                    let denied = call.deny_by_vault(&error, DenialKind::Internal);
                    return Err(Error::Denied(denied));
                }
                Ok(Ok(current)) => current,
            }
        }
    };
    call.served_by(&current);
    let (name, generation) = (client.name(), current.generation);
    let applied = |rendered| Applied {
        rendered,
        source: &credential.source,
        generation,
    };
    if let Some(rendered) = attempt.rendered().get(name, generation) {
        return Ok((applied(rendered), call));
    }
    let secrets = &attempt.parts().secrets;
    match Rendered::new(&credential.inject, &current.fields, secrets) {
        Ok(rendered) => {
            let rendered = Arc::new(rendered);
            attempt.rendered().put(name, generation, rendered.clone());
            Ok((applied(rendered), call))
        }
        Err(unusable) => {
            tracing::warn!(
                grant = client.label().as_ref(),
                reason = unusable.0,
                "the secret of a grant cannot be used"
            );
            Err(Error::Denied(call.deny(DenialKind::Internal, unusable.0)))
        }
    }
}
