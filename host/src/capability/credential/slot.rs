//! The credential of one source, as long as it serves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::doubt::Doubt;
use super::lookout::Lookout;
use super::{CredentialSource, Refresh};
use crate::audit::Event;
use crate::lock::Mutex;
use crate::vault::path::LeasedPath;
use crate::vault::{LeaseState, SecretFields, SessionHandle, VaultError};

/// The shortest time between two reads of a static role whose rotation is due.
const MIN_STATIC: Duration = Duration::from_secs(1);

/// How long a credential that still works is used on when its replacement
/// could not be had, until the next try.
const REPLACE_AGAIN: Duration = Duration::from_secs(10);

/// A credential that may be used now.
#[derive(Clone)]
pub(crate) struct Current {
    /// Its fields.
    pub(crate) fields: Arc<SecretFields>,
    /// Goes up whenever the fields change: what was made from older ones, such
    /// as a header or a connection, is outdated.
    pub(crate) generation: u64,
    /// The id under which Vault audited the request, when this call got it.
    pub(crate) request_id: Option<String>,
    /// True when this call got it from an earlier attempt.
    pub(crate) is_cached: bool,
    /// The life of a leased credential.
    pub(crate) lease: Option<LeaseState>,
}

/// The place of one source's credential.
#[derive(Default)]
pub(super) struct Slot {
    /// One reader at a time.
    reading: tokio::sync::Mutex<()>,
    held: Mutex<Option<Held>>,
}

struct Held {
    current: Current,
    serves: Serves,
    doubt: Doubt,
}

/// How long a credential is used without asking Vault.
enum Serves {
    /// To the end of the attempt.
    Attempt,
    /// Until Vault rotates it.
    Until(Instant),
    /// As its lease goes; a replacement that failed is due at this time.
    Lease(LeaseState, Option<Instant>),
}

impl Slot {
    /// A slot that holds this.
    #[cfg(test)]
    pub(super) fn holding(fields: SecretFields) -> Self {
        let slot = Self::default();
        slot.put(fields, None, None, Serves::Attempt);
        slot
    }

    /// The credential, when it may be used without asking Vault.
    pub(super) fn known(&self, refresh: Refresh) -> Option<Current> {
        let held = self.held.lock();
        let held = held.as_ref()?;
        let serves = match &held.serves {
            _ if held.doubt.is_open() => false,
            Serves::Attempt => true,
            Serves::Until(time) => Instant::now() < *time,
            Serves::Lease(lease, again) => match refresh {
                Refresh::Fail => !lease.has_ended(),
                Refresh::Refetch if lease.has_ended() => false,
                Refresh::Refetch => {
                    !lease.is_ending() || again.is_some_and(|again| Instant::now() < again)
                }
            },
        };
        serves.then(|| held.current.clone())
    }

    /// The credential, asked for if need be.
    pub(super) async fn current(
        &self,
        session: &SessionHandle,
        source: &CredentialSource,
        lookout: &Arc<Lookout>,
    ) -> Result<Current, VaultError> {
        let _reading = self.reading.lock().await;
        // Somebody else may have read it while we waited.
        if let Some(known) = self.known(source.refresh()) {
            return Ok(known);
        }
        match source {
            CredentialSource::Kv { path, cache_ttl } => {
                let age = if self.is_doubted() {
                    // What others read before may be outdated for them too.
                    session.forget_shared();
                    Duration::ZERO
                } else {
                    *cache_ttl
                };
                // On the heap while it takes: those who wait for a call need not hold it.
                let read = Box::pin(session.kv_shared(path, age)).await?;
                let current = self.put(
                    read.data.fields.clone(),
                    read.request_id,
                    None,
                    Serves::Attempt,
                );
                Ok(Current {
                    is_cached: read.is_cached,
                    ..current
                })
            }
            CredentialSource::Static(role) => {
                let asked = Instant::now();
                let answer = session.static_credential(role).await?;
                let until = asked + answer.value.ttl.max(MIN_STATIC);
                Ok(self.put(
                    answer.value.fields,
                    answer.request_id,
                    None,
                    Serves::Until(until),
                ))
            }
            CredentialSource::Dynamic { path, refresh } => {
                let known = self.held.lock().is_some();
                if known && *refresh == Refresh::Fail {
                    return Err(VaultError::LeaseEnded {
                        path: path.api_path(),
                    });
                }
                match self.lease(session, path, lookout).await {
                    Err(error) => self.outlive(error),
                    leased => leased,
                }
            }
        }
    }

    async fn lease(
        &self,
        session: &SessionHandle,
        path: &LeasedPath,
        lookout: &Arc<Lookout>,
    ) -> Result<Current, VaultError> {
        let answer = session
            .dynamic(path, Arc::<Lookout>::clone(lookout))
            .await?;
        let leased = answer.value;
        let current = self.put(
            leased.fields,
            answer.request_id,
            Some(leased.state.clone()),
            Serves::Lease(leased.state, None),
        );
        lookout.record(&Event::LeaseOpened {
            lease: leased.lease,
            source: &path.api_path(),
            generation: current.generation,
            ttl: leased.ttl.as_secs(),
            renewable: leased.renewable,
            vault_request_id: current.request_id.as_deref(),
        });
        Ok(current)
    }

    fn is_doubted(&self) -> bool {
        let held = self.held.lock();
        held.as_ref().is_some_and(|held| held.doubt.is_open())
    }

    /// A server did not take the credential of this generation. The next use
    /// reads it anew, or asks for a lease whether it lives; seldom, for a
    /// server may refuse for other reasons. Whether it does so now.
    pub(super) fn doubt(&self, generation: u64) -> bool {
        let mut held = self.held.lock();
        let Some(held) = held.as_mut() else {
            return false;
        };
        if held.current.generation != generation {
            return false;
        }
        let is_new = held.doubt.raise();
        if let (true, Serves::Lease(lease, _)) = (is_new, &held.serves) {
            held.doubt.settle();
            lease.check();
        }
        is_new
    }

    /// A replacement failed: the old credential serves as long as it lives.
    fn outlive(&self, error: VaultError) -> Result<Current, VaultError> {
        let mut held = self.held.lock();
        match held.as_mut() {
            Some(Held {
                current,
                serves: Serves::Lease(lease, again),
                ..
            }) if !lease.has_ended() => {
                tracing::warn!(
                    reason = error.reason(),
                    "a credential could not be replaced yet"
                );
                *again = Some(Instant::now() + REPLACE_AGAIN);
                Ok(current.clone())
            }
            _ => Err(error),
        }
    }

    /// Takes in what was read; the same fields stay the same generation.
    fn put(
        &self,
        fields: SecretFields,
        request_id: Option<String>,
        lease: Option<LeaseState>,
        serves: Serves,
    ) -> Current {
        let mut place = self.held.lock();
        let (fields, generation, doubt) = match place.take() {
            Some(old) if same(&old.current.fields, &fields) => (
                old.current.fields,
                old.current.generation,
                old.doubt.answered(),
            ),
            Some(old) => (
                Arc::new(fields),
                old.current.generation + 1,
                Doubt::default(),
            ),
            None => (Arc::new(fields), 1, Doubt::default()),
        };
        let current = Current {
            fields,
            generation,
            request_id: None,
            is_cached: false,
            lease,
        };
        *place = Some(Held {
            current: current.clone(),
            serves,
            doubt,
        });
        Current {
            request_id,
            ..current
        }
    }
}

/// Whether two secrets have the same fields. Who could measure how long this
/// takes reads both already.
fn same(one: &SecretFields, other: &SecretFields) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((name, one), (as_name, other))| {
                name == as_name && one.expose() == other.expose()
            })
}
