//! The way to a session: check the address, write the intent, take the
//! database user from Vault, connect.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::connection::Connection;
use super::fault::connection_word;
use super::postgres::{self, Fault, Login, Session, Target};
use super::servers::Unreachable;
use super::settings::WATCH_THE_CLIENT;
use crate::capability::bindings::cofferdam::capabilities::sql::{ConnectionError, Error};
use crate::capability::call::{Call, DenialKind, Refusal};
use crate::capability::credential::Current;
use crate::capability::network::Blocked;
use crate::vault::LeaseState;

/// The operation's name in audit and report.
const CONNECT: &str = "connect";

/// Time to resolve a name.
const RESOLVE: Duration = Duration::from_secs(10);

/// Time for Vault to say whether a lease lives.
const ASK: Duration = Duration::from_secs(1);

/// PostgreSQL cuts longer names, silently.
const MAX_USER: usize = 63;

/// A session, and the life of its database user.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) session: Arc<Session>,
    lease: Option<LeaseState>,
    /// Which of the grant's credentials the user is.
    generation: u64,
}

impl Live {
    /// Whether the database user is gone.
    fn lease_ended(&self) -> bool {
        self.lease.as_ref().is_some_and(LeaseState::has_ended)
    }

    /// Whether the database user is gone, now that the session ended. Somebody
    /// may have revoked its lease, which Vault is asked about if need be.
    pub(super) async fn went_with_lease(&self, connection: &Connection, fault: &Fault) -> bool {
        if let Some(lease) = &self.lease
            && !lease.has_ended()
            && fault.is_end_by_server()
        {
            ask(connection, lease, self.generation).await;
        }
        self.lease_ended()
    }

    /// Whether it can take a statement.
    pub(super) fn serves(&self) -> bool {
        self.session.is_open() && !self.lease_ended()
    }

    /// Whether both are the same.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.session, &other.session)
    }
}

/// Connects under a grant.
pub(super) async fn log_in(connection: &Connection) -> Result<Live, Error> {
    let (attempt, grant) = (connection.attempt(), connection.grant());
    let server = grant.server.to_string();
    let refuse =
        |refusal| Error::Denied(attempt.refuse(connection.label(), CONNECT, &server, refusal));
    let target = timeout(RESOLVE, attempt.parts().sql.target(grant)).await;
    match target {
        Ok(Err(Unreachable::Blocked(Blocked::Network))) => {
            return Err(refuse(Refusal::OutOfScope("destination_network")));
        }
        Ok(Err(Unreachable::Blocked(Blocked::Forbidden))) => {
            return Err(refuse(Refusal::OutOfScope("destination_is_vault")));
        }
        _ => {}
    }
    let call = attempt
        .begin(connection.label(), CONNECT, &server)
        .map_err(Error::Denied)?;
    match target {
        Ok(Ok(target)) => with(connection, &target, call).await,
        Ok(Err(Unreachable::NoTrust)) => {
            Err(Error::Denied(call.deny(DenialKind::Internal, "no_trust")))
        }
        Ok(Err(Unreachable::Blocked(_))) | Err(_) => Err(failed(call, ConnectionError::Dns)),
    }
}

async fn with(connection: &Connection, target: &Target, mut call: Call) -> Result<Live, Error> {
    let (attempt, source) = (connection.attempt(), &connection.grant().credential);
    let mut refused = None;
    loop {
        let current;
        (current, call) = credential(connection, call).await?;
        // Nothing new since the server refused it.
        if refused == Some(current.generation) {
            return Err(failed(call, ConnectionError::Authentication));
        }
        let user = current
            .fields
            .get("username")
            .and_then(|it| it.expose_str());
        let user = user.filter(|it| (1..=MAX_USER).contains(&it.len()) && !it.contains('\0'));
        let (Some(user), Some(password)) = (user, current.fields.get("password")) else {
            return Err(Error::Denied(
                call.deny(DenialKind::Internal, "secret_field_missing"),
            ));
        };
        if attempt.parts().secrets.add(password).is_err() {
            return Err(Error::Denied(
                call.deny(DenialKind::Internal, "secret_too_short"),
            ));
        }
        match postgres::connect(target, Login { user, password }).await {
            Ok(session) => {
                let session = Arc::new(session);
                attempt.sql().add(&session);
                let _ = session.command(WATCH_THE_CLIENT).await;
                call.done();
                return Ok(Live {
                    session,
                    lease: current.lease,
                    generation: current.generation,
                });
            }
            Err(unconnected)
                if unconnected.reason == "server_refused_user" && refused.is_none() =>
            {
                // Vault may have rotated the password meanwhile, or ended the user.
                match &current.lease {
                    Some(lease) => ask(connection, lease, current.generation).await,
                    None => _ = attempt.credentials().doubt(source, current.generation),
                }
                refused = Some(current.generation);
            }
            Err(unconnected) => {
                call.failed(unconnected.reason);
                return Err(Error::Connection(unconnected.error));
            }
        }
    }
}

/// Has Vault asked whether a lease lives, and waits for its word, but not for
/// long: a lease that lives is renewed, which moves its end. Vault is not asked
/// again and again; what it said a moment ago counts.
async fn ask(connection: &Connection, lease: &LeaseState, generation: u64) {
    let word = lease.next_word();
    let source = &connection.grant().credential;
    if connection.attempt().credentials().doubt(source, generation) {
        let _ = timeout(ASK, word).await;
    }
}

/// The database user's name and password.
async fn credential(connection: &Connection, mut call: Call) -> Result<(Current, Call), Error> {
    let (attempt, source) = (connection.attempt(), &connection.grant().credential);
    if let Some(known) = attempt.credentials().known(source) {
        return Ok((known, call));
    }
    let Some(session) = &attempt.parts().session else {
        return Err(Error::Denied(
            call.deny(DenialKind::Internal, "no_authority"),
        ));
    };
    match attempt.credentials().current(session, source).await {
        Ok(current) => {
            call.served_by(&current);
            Ok((current, call))
        }
        Err(error) => Err(Error::Denied(
            call.deny_by_vault(&error, DenialKind::Internal),
        )),
    }
}

fn failed(call: Call, error: ConnectionError) -> Error {
    call.failed(connection_word(error));
    Error::Connection(error)
}
