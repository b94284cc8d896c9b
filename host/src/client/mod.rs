//! A client of the service: what `cofferdam run --server` uses, and whoever
//! embeds it in Rust.
//!
//! ```no_run
//! # async fn example() -> Result<(), cofferdam::client::ClientError> {
//! use cofferdam::client::Client;
//! let client = Client::unix("/run/cofferdam/cofferdam.sock");
//! for task in client.tasks().await?.tasks {
//!     println!("{}", task.name);
//! }
//! # Ok(())
//! # }
//! ```

mod access;
mod connection;
mod error;
mod log;
mod place;
#[cfg(test)]
pub(crate) mod planted;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use http::Method;
use uuid::Uuid;

use crate::api::{Readiness, RunView, Submission, TaskList, Version};

pub use access::{Access, Certificate};
pub use error::ClientError;
pub use log::{LogEvent, LogReader};

use connection::Call;
use place::{Place, Remote};

/// A client. Every call has a connection of its own, so nothing is kept open and
/// nothing is left half done when a call is given up.
#[derive(Debug, Clone)]
pub struct Client {
    place: Place,
}

/// A run that was taken.
#[derive(Debug)]
pub struct Submitted {
    /// The run.
    pub view: RunView,
    /// The key was known: this is the run of an earlier submission.
    pub replayed: bool,
}

impl Client {
    /// A client of the service that listens on this Unix socket. Does not
    /// connect yet.
    pub fn unix(socket: impl AsRef<Path>) -> Self {
        Self {
            place: Place::Socket(socket.as_ref().to_owned()),
        }
    }

    /// A client of the service at this address, `https://HOST:PORT`. Reads the
    /// files of `access`; does not connect yet.
    ///
    /// # Errors
    /// [`ClientError`] when the address or a file cannot be used.
    pub fn https(address: &str, access: Access) -> Result<Self, ClientError> {
        let remote = Remote::new(address, access)?;
        Ok(Self {
            place: Place::Remote(Arc::new(remote)),
        })
    }

    /// Submits a run. The same key with the same submission gives the same run,
    /// so this can be repeated when the answer was lost.
    ///
    /// # Errors
    /// [`ClientError`]; with `Unreachable` and `Broken` nobody knows whether the
    /// run was taken: repeat it with the same key.
    pub async fn submit(
        &self,
        key: &str,
        submission: &Submission,
    ) -> Result<Submitted, ClientError> {
        self.submitted("/v1/runs", key, submission).await
    }

    /// Submits a run and waits at most so many seconds, up to 60, for its end: the
    /// quickest way to the report of a short one.
    ///
    /// # Errors
    /// As [`Client::submit`].
    pub async fn submit_and_wait(
        &self,
        key: &str,
        submission: &Submission,
        wait: u64,
    ) -> Result<Submitted, ClientError> {
        let path = format!("/v1/runs?wait={wait}");
        self.submitted(&path, key, submission).await
    }

    async fn submitted(
        &self,
        path: &str,
        key: &str,
        submission: &Submission,
    ) -> Result<Submitted, ClientError> {
        let call = Call::new(Method::POST, path).key(key).body(submission)?;
        let answer = call.send(&self.place).await?;
        let replayed = answer.is_replayed();
        Ok(Submitted {
            view: answer.json().await?,
            replayed,
        })
    }

    /// A run as it is now, or as it is when it ends within so many seconds.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn run(&self, run: Uuid, wait: u64) -> Result<RunView, ClientError> {
        self.get(&format!("/v1/runs/{run}?wait={wait}")).await
    }

    /// Cancels a run and waits until its authority is closed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel(&self, run: Uuid) -> Result<RunView, ClientError> {
        let path = format!("/v1/runs/{run}/cancel");
        let call = Call::new(Method::POST, &path);
        call.send(&self.place).await?.json().await
    }

    /// Reads the log of a run, from the line after this one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log(&self, run: Uuid, after: u64) -> Result<LogReader, ClientError> {
        let path = format!("/v1/runs/{run}/log?after={after}");
        let answer = Call::new(Method::GET, &path).send(&self.place).await?;
        Ok(LogReader::new(answer))
    }

    /// The tasks that we may run.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn tasks(&self) -> Result<TaskList, ClientError> {
        self.get("/v1/tasks").await
    }

    /// The service's version.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn version(&self) -> Result<Version, ClientError> {
        self.get("/v1/version").await
    }

    /// Whether the service takes runs, and why not.
    ///
    /// # Errors
    /// [`ClientError`]; that it is not ready is none.
    pub async fn ready(&self) -> Result<Readiness, ClientError> {
        let call = Call::new(Method::GET, "/v1/health/ready");
        let answer = call.send_any(&self.place).await?;
        match answer.is_problem() {
            true => Err(answer.problem().await),
            false => answer.json().await,
        }
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let call = Call::new(Method::GET, path);
        call.send(&self.place).await?.json().await
    }
}
