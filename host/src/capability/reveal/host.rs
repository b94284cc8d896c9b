//! The WIT side of `reveal`.

use std::sync::Arc;

use tokio::time::timeout_at;

use super::RevealGrant;
use crate::capability::bindings::cofferdam::capabilities::{reveal, types};
use crate::capability::call::{DenialKind, Refusal, grant_label};
use crate::capability::{Attempt, View};
use crate::name::GrantName;

/// The operation's name in audit and report.
const REVEAL: &str = "reveal";

impl reveal::Host for View<'_> {
    async fn reveal(&mut self, grant: String) -> wasmtime::Result<Result<Vec<u8>, types::Failure>> {
        Ok(plaintext(self.attempt, &grant).await)
    }
}

/// The one field that a grant reveals.
async fn plaintext(attempt: &Arc<Attempt>, name: &str) -> Result<Vec<u8>, types::Failure> {
    let label: Arc<str> = grant_label("reveal", name).into();
    let Some(grant) = find(attempt, name) else {
        return Err(attempt.refuse(&label, REVEAL, "", Refusal::NotGranted));
    };
    let target = format!("{} field {}", grant.source.api_path(), grant.field);
    let mut call = attempt.begin(&label, REVEAL, &target)?;
    let known = attempt.credentials().known(&grant.source);
    let current = match (known, &attempt.parts().session) {
        (Some(current), _) => current,
        (None, None) => return Err(call.deny(DenialKind::Internal, "no_authority")),
        (None, Some(session)) => {
            let asked = attempt.credentials().current(session, &grant.source);
            match timeout_at(attempt.parts().deadline.into(), asked).await {
                Err(_) => return Err(call.deny(DenialKind::Expired, "attempt_deadline")),
                Ok(Err(error)) => return Err(call.deny_by_vault(&error, DenialKind::Internal)),
                Ok(Ok(current)) => current,
            }
        }
    };
    call.served_by(&current);
    let Some(secret) = current.fields.get(&grant.field) else {
        return Err(call.deny(DenialKind::Internal, "secret_field_missing"));
    };
    if attempt.parts().secrets.add(secret).is_err() {
        return Err(call.deny(DenialKind::Internal, "secret_too_short"));
    }
    call.done();
    Ok(secret.expose().to_vec())
}

fn find<'a>(attempt: &'a Attempt, name: &str) -> Option<&'a RevealGrant> {
    let name: GrantName = name.parse().ok()?;
    attempt.parts().grants.reveal.get(&name)
}
