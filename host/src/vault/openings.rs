//! Authorities that were given up while they were opened.

use std::pin::Pin;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::{Session, VaultError};
use crate::lock::Mutex;

/// How long the end of a process waits for them: long enough for a server that
/// answers, and short for one whose job is killed in a moment.
const AT_THE_END: Duration = Duration::from_secs(1);

/// An authority under way. It owns all that it needs.
pub type Opening = Pin<Box<dyn Future<Output = Result<Session, VaultError>> + Send>>;

/// Those that go on by themselves: a log-in that others of this process share is
/// not to be cut off, and what Vault makes after all is to be ended at once.
#[derive(Default)]
pub(super) struct Openings {
    tasks: TaskTracker,
    aborts: Mutex<Vec<AbortHandle>>,
}

impl Openings {
    /// Lets one go on, to be closed as soon as it is open.
    pub(super) fn leave(&self, opening: Opening) {
        let left = async move {
            if let Ok(session) = opening.await {
                session.close().await;
            }
        };
        let left = self.tasks.spawn(left.in_current_span());
        let mut aborts = self.aborts.lock();
        aborts.retain(|task| !task.is_finished());
        aborts.push(left.abort_handle());
    }

    /// Waits for them, but not for long; what is cut off then stays in the
    /// journal.
    pub(super) async fn end(&self) {
        self.tasks.close();
        if tokio::time::timeout(AT_THE_END, self.tasks.wait())
            .await
            .is_err()
        {
            for task in self.aborts.lock().drain(..) {
                task.abort();
            }
            self.tasks.wait().await;
        }
    }
}
