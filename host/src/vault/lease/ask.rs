//! Asking for a credential.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tracing::Instrument as _;

use super::renewal::Renewal;
use super::{LeaseId, LeaseState, LeaseWatcher};
use crate::vault::client::Call;
use crate::vault::error::Operation;
use crate::vault::fields::{Field, SecretFields, plain};
use crate::vault::handle::Authority;
use crate::vault::path::{LeasedPath, StaticRole};
use crate::vault::revoke::Target;
use crate::vault::schedule::Schedule;
use crate::vault::{Answer, SessionHandle, VaultError, seconds};

/// A credential with a lease.
pub struct Leased {
    /// What Vault made: user name and password, a key, …
    pub fields: SecretFields,
    /// The number of the lease in its attempt, from 1; its id stays inside.
    pub lease: u32,
    /// How long it lives until it is renewed.
    pub ttl: Duration,
    /// Whether it is renewed in the background.
    pub renewable: bool,
    /// Its life from here on.
    pub state: LeaseState,
}

/// The credential of a user who exists and whose password Vault rotates.
pub struct StaticCredential {
    /// User name and password.
    pub fields: SecretFields,
    /// How long until the next rotation; zero when it is due.
    pub ttl: Duration,
}

/// What stands beside the credential of a static role and changes all the time.
const STATIC_METADATA: [&str; 5] = [
    "last_vault_rotation",
    "rotation_period",
    "rotation_schedule",
    "rotation_window",
    "ttl",
];

/// The `data` of a static role: the number stands among texts.
#[derive(Deserialize)]
struct Ttl {
    #[serde(deserialize_with = "seconds::life")]
    ttl: u64,
}

impl SessionHandle {
    /// Asks for a new credential, once: an answer that was lost may have made
    /// one, which then was never used and ends with the attempt's token.
    ///
    /// The lease is in the journal and renewed in the background when this
    /// returns. Dropping the future does not stop the question: what it makes
    /// belongs to the attempt and is revoked at its end.
    pub async fn dynamic(
        &self,
        path: &LeasedPath,
        watcher: Arc<dyn LeaseWatcher>,
    ) -> Result<Answer<Leased>, VaultError> {
        let (handle, path) = (self.clone(), path.clone());
        let asked = async move { handle.ask(&path, watcher).await };
        let asked = self.leases().asks.spawn(asked.in_current_span());
        asked.await.unwrap_or(Err(VaultError::Closed))
    }

    async fn ask(
        &self,
        path: &LeasedPath,
        watcher: Arc<dyn LeaseWatcher>,
    ) -> Result<Answer<Leased>, VaultError> {
        let book = self.leases();
        book.admit()?;
        let authority = self.authority()?;
        let call = Call::read(Operation::Lease, &path.api_path())?;
        let asked = Instant::now();
        let answer = match self.send_once(call, &authority).await {
            Ok(reply) => reply.envelope::<BTreeMap<String, Field>>(),
            Err(error) => Err(error),
        };
        let answer = answer.inspect_err(|error| {
            if error.may_have_leased() {
                book.note_lost();
            }
        })?;
        let request_id = answer.request_id();
        let protocol = |fault| VaultError::Protocol {
            operation: Operation::Lease,
            fault,
        };
        let Some(id) = answer.lease_id.filter(|id| !id.is_empty()) else {
            return Err(VaultError::NoLease {
                path: path.api_path(),
            });
        };
        // Without its name it can only end with the token, which is told.
        let unnamed = || book.note_lost();
        let id = LeaseId::try_from(id)
            .inspect_err(|_| unnamed())
            .map_err(|_| protocol("its lease id is malformed"))?;
        let Some(fields) = answer.data else {
            self.revoke_unused(&id, authority).await;
            return Err(protocol("it holds no data"));
        };
        let ttl = Duration::from_secs(answer.lease_duration);
        let noted = book.note(&id).await;
        if noted.is_err() || ttl.is_zero() {
            self.revoke_unused(&id, authority).await;
            noted?;
            return Err(protocol("its lease has no duration"));
        }
        let schedule = Schedule::new(ttl);
        let lease = book.number();
        let renewable = answer.renewable;
        let state = LeaseState::new(asked + ttl, schedule.grace(), renewable);
        let renewal = Renewal {
            shared: Arc::downgrade(self.shared()),
            login: Arc::downgrade(&authority.login),
            run: authority.run.clone(),
            tie: authority.tie,
            id: id.clone(),
            lease,
            state: state.clone(),
            life: ttl,
            schedule,
            watcher,
        };
        let renewing = renewable.then(|| renewal.start());
        if let Err(id) = book.add(lease, id, &state, renewing) {
            self.revoke_unused(&id, authority).await;
            return Err(VaultError::Closed);
        }
        Ok(Answer {
            value: Leased {
                fields: plain(fields),
                lease,
                ttl,
                renewable,
                state,
            },
            request_id,
        })
    }

    /// Ends a lease whose credential nobody will use.
    async fn revoke_unused(&self, id: &LeaseId, authority: Authority) {
        let mut login = authority.login;
        let run = authority.run.as_ref();
        let revoked = self.shared().revoke(&mut login, Target::Lease(id), run);
        if let Err(error) = revoked.await {
            tracing::warn!(
                reason = error.reason(),
                "an unused lease could not be revoked; it ends with the attempt's token"
            );
            // The attempt's end says so, and its record stays for the sweep.
            self.leases().note_lost();
        }
    }

    /// Reads the present password of a static role. It has no lease: Vault
    /// rotates it when its time is over.
    pub async fn static_credential(
        &self,
        role: &StaticRole,
    ) -> Result<Answer<StaticCredential>, VaultError> {
        let call = Call::read(Operation::Read, &role.api_path())?;
        let reply = self.send(call).await?;
        let (Ttl { ttl }, request_id) = reply.data()?;
        let (mut fields, _) = reply.data::<BTreeMap<String, Field>>()?;
        fields.retain(|name, _| !STATIC_METADATA.contains(&name.as_str()));
        Ok(Answer {
            value: StaticCredential {
                fields: plain(fields),
                ttl: Duration::from_secs(ttl),
            },
            request_id,
        })
    }
}
