//! One of the two files, with the thread that writes it and waits for the disk.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::database::{Database, Shape, Writer};
use super::inbox::{Pace, Write};
use super::keeper::{Keeper, Post};
use super::pen::Pen;
use super::{StoreError, Unkept};
use crate::audit::Unsynced;

/// One file: its readers, and the way to its writer.
pub(super) struct Half<S: Shape> {
    pub(super) post: Post<S::Change>,
    pub(super) pen: Arc<Pen<S>>,
    pub(super) database: Arc<Database<S>>,
}

impl<S: Shape> Clone for Half<S> {
    fn clone(&self) -> Self {
        Self {
            post: self.post.clone(),
            pen: Arc::clone(&self.pen),
            database: Arc::clone(&self.database),
        }
    }
}

impl<S: Shape> Half<S> {
    pub(super) fn start(
        name: &str,
        (database, writer): (Database<S>, Writer<S>),
    ) -> Result<Self, StoreError> {
        let database = Arc::new(database);
        let pen = Arc::new(Pen::new(Arc::clone(&database), writer));
        let post = Keeper::start(name, Arc::clone(&pen))?;
        Ok(Self {
            post,
            pen,
            database,
        })
    }

    /// Makes changes; returns when they are on the disk.
    pub(super) async fn write(
        &self,
        changes: Vec<S::Change>,
        pace: Pace,
    ) -> Result<(), StoreError> {
        let written = self.send(changes, None, pace).await;
        written.map_err(|unkept| match unkept {
            Unkept::Store(error) => error,
            // There was none to sync.
            Unkept::Audit(_) => StoreError::Stopped,
        })
    }

    /// The same, once the audit that has to be there before is on the disk.
    pub(super) async fn send(
        &self,
        changes: Vec<S::Change>,
        audit: Option<Unsynced>,
        pace: Pace,
    ) -> Result<(), Unkept> {
        sent(|done| {
            self.post.send(Write {
                changes,
                pace,
                audit,
                done,
            });
        })
        .await
    }
}

/// Hands a write over, and waits until it is settled.
pub(super) async fn sent(
    send: impl FnOnce(oneshot::Sender<Result<(), Unkept>>),
) -> Result<(), Unkept> {
    let (done, answer) = oneshot::channel();
    send(done);
    // A thread that is gone has dropped the write, and with it who would tell.
    let told = answer.await;
    told.unwrap_or(Err(Unkept::Store(StoreError::Stopped)))
}
