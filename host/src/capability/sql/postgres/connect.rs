//! A log-in: from an address to a session.

use std::convert::Infallible;
use std::future::Ready;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::config::{SslMode, SslNegotiation};
use tokio_postgres::tls::{TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, Connection, Error};

use super::cancel::Canceller;
use super::guard::{Guard, Violation};
use super::preparing::Preparing;
use super::session::Session;
use super::socket::{Place, Socket};
use super::tls::Tls;
use crate::capability::bindings::cofferdam::capabilities::sql::ConnectionError;
use crate::secret::Secret;

/// Time for a connection and its log-in.
const CONNECT: Duration = Duration::from_secs(10);

/// What a session is made from. None of it comes from the task.
pub(in crate::capability::sql) struct Target {
    /// Where the server is.
    pub(in crate::capability::sql) place: Place,
    /// How it is encrypted; `None` for a plain connection.
    pub(in crate::capability::sql) tls: Option<Tls>,
    /// The database.
    pub(in crate::capability::sql) database: String,
    /// The settings of the session, as `-c name=value …`.
    pub(in crate::capability::sql) options: String,
    /// The largest message that the server may send, in bytes.
    pub(in crate::capability::sql) max_message: usize,
}

/// A database user.
pub(in crate::capability::sql) struct Login<'a> {
    /// Its name.
    pub(in crate::capability::sql) user: &'a str,
    /// Its password.
    pub(in crate::capability::sql) password: &'a Secret,
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capability::sql) struct Unconnected {
    /// What the task is told.
    pub(in crate::capability::sql) error: ConnectionError,
    /// A word for the audit.
    pub(in crate::capability::sql) reason: &'static str,
}

impl Unconnected {
    pub(super) fn new(error: ConnectionError, reason: &'static str) -> Self {
        Self { error, reason }
    }
}

/// Connects and logs in.
pub(in crate::capability::sql) async fn connect(
    target: &Target,
    login: Login<'_>,
) -> Result<Session, Unconnected> {
    let preparing = Arc::new(Preparing::default());
    let made = timeout(CONNECT, log_in(target, &login, &preparing)).await;
    let (client, connection, place) =
        made.map_err(|_| Unconnected::new(ConnectionError::Connect, "connect_timeout"))??;
    let canceller = Canceller::new(client.cancel_token(), place, target.tls.clone());
    Ok(Session::start(
        client, connection, canceller, preparing, login.user,
    ))
}

async fn log_in(
    target: &Target,
    login: &Login<'_>,
    preparing: &Arc<Preparing>,
) -> Result<(Client, Connection<Guard, Guard>, Place), Unconnected> {
    let (socket, binding, place) = reach(&target.place, target.tls.as_ref()).await?;
    let guard = Guard::new(socket, binding, target.max_message, Arc::clone(preparing));
    let mut config = Config::new();
    config
        .user(login.user)
        .password(login.password.expose())
        .dbname(&target.database)
        .options(&target.options)
        .application_name("cofferdam");
    as_it_is(&mut config);
    let (client, connection) = config
        .connect_raw(guard, AsItIs)
        .await
        .map_err(|error| refused(&error))?;
    Ok((client, connection, place))
}

/// A stream to the server, encrypted where it has to be, what binds a log-in to
/// it, and which of the places it leads to.
pub(super) async fn reach(
    place: &Place,
    tls: Option<&Tls>,
) -> Result<(Socket, Option<Vec<u8>>, Place), Unconnected> {
    let (socket, place) = place
        .connect()
        .await
        .map_err(|_| Unconnected::new(ConnectionError::Connect, "no_connection"))?;
    let (socket, binding) = match (socket, tls) {
        (Socket::Tcp(stream), Some(tls)) => tls.encrypt(stream).await?,
        (socket, _) => (socket, None),
    };
    Ok((socket, binding, place))
}

/// Tells the driver that there is nothing left to negotiate. In its own words
/// that is "TLS without being asked", with a connector that does nothing: the
/// stream is what [`reach`] made of it.
fn as_it_is(config: &mut Config) {
    config
        .ssl_mode(SslMode::Require)
        .ssl_negotiation(SslNegotiation::Direct);
}

/// A connector for a stream that is as it has to be.
pub(super) struct AsItIs;

impl<S: TlsStream + Unpin> TlsConnect<S> for AsItIs {
    type Stream = S;
    type Error = Infallible;
    type Future = Ready<Result<S, Infallible>>;

    fn connect(self, stream: S) -> Self::Future {
        std::future::ready(Ok(stream))
    }
}

/// What a failed log-in means.
fn refused(error: &Error) -> Unconnected {
    let (error, reason) = if let Some(server) = error.as_db_error() {
        match server.code().code() {
            // Invalid authorization: no such user, wrong or expired password,
            // no right to connect.
            code if code.starts_with("28") => {
                (ConnectionError::Authentication, "server_refused_user")
            }
            "3D000" | "42501" => (ConnectionError::Authentication, "server_refused_database"),
            // Too many connections, starting up, shutting down.
            _ => (ConnectionError::Connect, "server_refused_session"),
        }
    } else if let Some(violation) = violation(error) {
        match violation {
            Violation::Method | Violation::Unproven | Violation::Iterations => (
                ConnectionError::Authentication,
                match violation {
                    Violation::Method => "server_asks_for_password",
                    Violation::Unproven => "server_unproven",
                    _ => "server_scram_iterations",
                },
            ),
            Violation::Flood | Violation::Malformed | Violation::TooLarge | Violation::Types => {
                (ConnectionError::Protocol, "server_protocol")
            }
        }
    } else if io_error(error).is_some() || error.is_closed() {
        (ConnectionError::Reset, "connection_reset")
    } else if error.to_string().starts_with("authentication error") {
        // SCRAM's proof of the server is wrong, or it offers no mechanism of ours.
        (ConnectionError::Authentication, "server_unproven")
    } else {
        (ConnectionError::Protocol, "server_protocol")
    };
    Unconnected::new(error, reason)
}

/// What the guard saw, when that is what ended it.
pub(super) fn violation(error: &Error) -> Option<Violation> {
    io_error(error)?.get_ref()?.downcast_ref().copied()
}

fn io_error(error: &Error) -> Option<&io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}
