//! What became of runs, kept for a while: an embedded database (SQLite) in the state
//! folder. `results.db` says how each run stands, `results-large.db` has reports and logs
//! of those that have much to tell; each has its log beside it and a thread that writes.
//!
//! A run is written down before it can do anything, so that a service that comes back
//! knows what it lost and a repeated submission is not run again, and when it is over,
//! before anybody is told; one that can do nothing but answer, and whose caller waits for
//! that, once, at its end. All these wait for the disk, but that last one: it is told its end
//! once audit and result are written, which outlasts this process, and the disk is asked for
//! them a moment later. Writers that wait at the same time share one commit and one sync of
//! it, and before it one sync of the audit. What is large is written and synced first,
//! in the other file: those who have little to tell do not wait for it.

mod apart;
mod checkpoint;
mod database;
mod early;
mod error;
mod half;
mod heads;
mod inbox;
mod keeper;
mod pen;
mod record;

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use uuid::Uuid;

pub use error::StoreError;
pub(super) use error::Unkept;
pub(super) use inbox::Pace;
pub(super) use keeper::Member;
pub(super) use record::{Head, KeptLog, KeyHash, Record, Weight};

use super::log::Page;
use crate::api::RunView;
use crate::audit::Unsynced;
use apart::Large;
use database::Database;
use early::{Early, EarlyPost};
use half::Half;
use heads::Heads;

/// The files below the state folder.
const FILE: &str = "results.db";
const LARGE_FILE: &str = "results-large.db";

/// Of what is forgotten in `results-large.db`, so much goes in one commit, in bytes:
/// SQLite reads what it forgets.
const FORGET: u64 = 16 << 20;

/// How often the log of `results-large.db` is tried to be taken over, and when again:
/// whoever else does it is done within this, for there is little in it.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// The kept runs. Dropping the last clone ends the threads that write.
#[derive(Clone)]
pub(super) struct Store {
    heads: Half<Heads>,
    /// The way to `results.db` for those who do not wait for the disk.
    early: EarlyPost<heads::Change>,
    large: Half<Large>,
}

/// A state folder that is this process's alone; its kept runs are not opened yet.
pub(super) struct Claim {
    state: PathBuf,
    file: Arc<File>,
}

impl Claim {
    /// Makes `results.db` (0600) when there is none, and keeps other services out.
    ///
    /// # Errors
    /// When it cannot be opened, or another service has it.
    pub(super) fn new(state: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            state: state.to_owned(),
            file: Arc::new(database::claim(&state.join(FILE))?),
        })
    }
}

impl Store {
    /// Opens the files, or makes them (0600), and finishes what was written to their logs.
    /// It does not look through them: see [`Store::check`].
    ///
    /// # Errors
    /// When one cannot be opened, is no such file, or is of another version.
    pub(super) fn open(claim: Claim) -> Result<Self, StoreError> {
        let Claim { state, file } = claim;
        let heads = Database::open(&state.join(FILE), Arc::clone(&file))?;
        let large = Database::open(&state.join(LARGE_FILE), file)?;
        let heads = Half::start("results", heads)?;
        Ok(Self {
            early: Early::start("results-early", &heads)?,
            heads,
            large: Half::start("results-large", large)?,
        })
    }

    /// Looks at every page of `results.db`. The other file may be very large: what is
    /// damaged there is found when it is read.
    ///
    /// # Errors
    /// When one is damaged.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        self.heads.database.check().await
    }

    /// Writes down one run; returns when it is on the disk.
    ///
    /// # Errors
    /// When the disk does not take it. The next write tries anew.
    pub(super) async fn put(&self, run: Uuid, record: &Record) -> Result<(), StoreError> {
        let head = written(run, &record.head)?;
        self.put_parts(run, record).await?;
        let change = heads::Change::Put(run, head);
        self.heads.write(vec![change], Pace::Soon).await
    }

    /// Writes down one run once its audit is on the disk; returns when both are.
    ///
    /// # Errors
    /// When the disk does not take one of them. The next write tries anew.
    pub(super) async fn put_after(
        &self,
        audit: Unsynced,
        run: Uuid,
        record: &Record,
        pace: Pace,
    ) -> Result<(), Unkept> {
        // The audit is synced in any case: whether it is, is told apart.
        let (changes, failure) = self.end(run, record).await;
        self.heads.send(changes, Some(audit), pace).await?;
        failure.map_or(Ok(()), |error| Err(Unkept::Store(error)))
    }

    /// Writes down one run and its audit; returns when both outlast this process. The disk
    /// has them a moment later, unless the power fails.
    ///
    /// # Errors
    /// As [`Store::put_after`].
    pub(super) async fn put_early(
        &self,
        audit: Unsynced,
        run: Uuid,
        record: &Record,
    ) -> Result<(), Unkept> {
        let (changes, failure) = self.end(run, record).await;
        match self.early.send(changes, audit.clone()).await {
            // The thread is gone. The other one tells them later.
            Err(Unkept::Store(StoreError::Stopped)) => {
                return self.put_after(audit, run, record, Pace::Soon).await;
            }
            written => written?,
        }
        failure.map_or(Ok(()), |error| Err(Unkept::Store(error)))
    }

    /// How often the disk was waited for because of `results.db`.
    #[cfg(test)]
    fn syncs(&self) -> usize {
        self.heads.pen.syncs()
    }

    /// Returns when all that was written so far is on the disk.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn sync(&self) -> Result<(), StoreError> {
        self.heads.write(Vec::new(), Pace::Soon).await
    }

    /// Why the disk did not take what [`Store::put_early`] wrote; once.
    pub(super) fn late_failure(&self) -> Option<StoreError> {
        self.early.failure()
    }

    /// What writes down the end of a run, once what is large of it is on the disk; why
    /// nothing does.
    async fn end(&self, run: Uuid, record: &Record) -> (Vec<heads::Change>, Option<StoreError>) {
        let head = match self.put_parts(run, record).await {
            Ok(()) => written(run, &record.head),
            Err(error) => Err(error),
        };
        match head {
            Ok(head) => (vec![heads::Change::Put(run, head)], None),
            Err(error) => (Vec::new(), Some(error)),
        }
    }

    /// What is large, before the head that names it: a head without it would be a lie.
    async fn put_parts(&self, run: Uuid, record: &Record) -> Result<(), StoreError> {
        let Some(parts) = &record.parts else {
            return Ok(());
        };
        let change = apart::Change::Put(run, parts.clone());
        self.large.write(vec![change], Pace::Soon).await
    }

    /// Counts a run that is under way among those whose writes may wait for each other.
    pub(super) fn join(&self) -> Member {
        self.heads.post.join()
    }

    /// Writes down that a run began, unless more is known of it already; returns when
    /// one of both is on the disk.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn begin(
        &self,
        run: Uuid,
        record: &Record,
        pace: Pace,
    ) -> Result<(), StoreError> {
        let head = written(run, &record.head)?;
        let change = heads::Change::Begin(run, head);
        self.heads.write(vec![change], pace).await
    }

    /// Forgets runs; returns when they are gone.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn forget(&self, runs: &[(Uuid, Weight)]) -> Result<(), StoreError> {
        let heads = runs.iter().map(|(run, _)| heads::Change::Forget(*run));
        self.heads.write(heads.collect(), Pace::Unhurried).await?;
        let large = runs.iter().filter(|(_, weight)| weight.apart > 0);
        self.forget_parts(large.map(|(run, weight)| (*run, weight.apart)))
            .await
    }

    async fn forget_parts(
        &self,
        runs: impl Iterator<Item = (Uuid, u64)>,
    ) -> Result<(), StoreError> {
        let (mut changes, mut bytes) = (Vec::new(), 0);
        for (run, size) in runs {
            if bytes + size > FORGET && !changes.is_empty() {
                let changes = std::mem::take(&mut changes);
                self.large.write(changes, Pace::Unhurried).await?;
                bytes = 0;
            }
            changes.push(apart::Change::Forget(run));
            bytes += size;
        }
        match changes.is_empty() {
            true => Ok(()),
            false => self.large.write(changes, Pace::Unhurried).await,
        }
    }

    /// Forgets what is kept apart of runs that are none of these: a service that died
    /// between the two files left it.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn forget_others(&self, known: &HashSet<Uuid>) -> Result<(), StoreError> {
        let found = self.large.database.read(apart::runs).await?;
        let others = found.into_iter().filter(|run| !known.contains(run));
        // How large they are nobody knows.
        self.forget_parts(others.map(|run| (run, FORGET))).await
    }

    /// Gives a piece of what `results-large.db` does not need back to the disk; false
    /// when it has few pages to spare.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn give_back(&self) -> Result<bool, StoreError> {
        let pages = self.large.database.read(apart::to_give_back).await?;
        if pages == 0 {
            return Ok(false);
        }
        let change = apart::Change::GiveBack(pages);
        self.large.write(vec![change], Pace::Unhurried).await?;
        Ok(true)
    }

    /// Has the disk take what [`Store::give_back`] gave. If others are in the way for
    /// long, it takes that a little later.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn given_back(&self) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            if self.large.database.take_over().await? {
                break;
            }
            tokio::time::sleep(BETWEEN_TRIES).await;
        }
        Ok(())
    }

    /// Tries whether the disk takes something.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let run = Uuid::nil();
        let changes = vec![
            heads::Change::Put(run, Vec::new()),
            heads::Change::Forget(run),
        ];
        self.heads.write(changes, Pace::Soon).await?;
        let change = apart::Change::Forget(run);
        self.large.write(vec![change], Pace::Soon).await
    }

    /// What is known of a run, without what is kept apart of it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) async fn head(&self, run: Uuid) -> Result<Option<Head>, StoreError> {
        let found = self.heads.database.read(move |file| heads::head(file, run));
        let found = found.await?;
        found.map(|bytes| read(run, &bytes)).transpose()
    }

    /// A run as its owner sees it, with its report.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) async fn view(&self, head: Head) -> Result<Option<RunView>, StoreError> {
        let (is_apart, mut view) = (head.apart.is_some(), head.view);
        if is_apart {
            let run = view.run;
            let report = self.large.database.read(move |file| {
                let report = apart::report(file, run)?;
                // Its JSON is looked through, which a large one takes a while for.
                Ok(report.map(text))
            });
            let Some(report) = report.await? else {
                // Forgotten between the two.
                return Ok(None);
            };
            view.report = Some(report.ok_or(StoreError::Unreadable { run })?);
        }
        Ok(Some(view))
    }

    /// How these runs stand, without their reports, however large those are. Those that
    /// are not there are left out.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) async fn views(&self, runs: Vec<Uuid>) -> Result<Vec<RunView>, StoreError> {
        let found = self.heads.database.read(move |file| {
            let found = runs
                .into_iter()
                .map(|run| Ok((run, heads::head(file, run)?)));
            found.collect::<rusqlite::Result<Vec<_>>>()
        });
        let mut views = Vec::new();
        for (run, head) in found.await? {
            if let Some(bytes) = head {
                let view = read(run, &bytes)?.view;
                views.push(RunView {
                    report: None,
                    ..view
                });
            }
        }
        Ok(views)
    }

    /// The page of a log, in which the line after this one is; it may begin before.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) async fn page(
        &self,
        run: Uuid,
        log: KeptLog,
        after: u64,
    ) -> Result<Option<Page>, StoreError> {
        match log.is_apart {
            true => {
                let file = &self.large.database;
                file.read(move |file| apart::page(file, run, after)).await
            }
            false => Ok(self.head(run).await?.and_then(Head::page)),
        }
    }

    /// Goes through all runs, the oldest first, without what is kept apart of them. One
    /// that cannot be read is passed over, with a line in the host's log.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) async fn each<T: Send + 'static>(
        &self,
        mut found: T,
        mut visit: impl FnMut(&mut T, Uuid, Head) + Send + 'static,
    ) -> Result<T, StoreError> {
        let each = self.heads.database.read(move |file| {
            heads::each(file, |run, bytes| match Head::read(bytes) {
                Ok(head) => visit(&mut found, run, head),
                Err(_) => tracing::warn!(%run, "a kept run cannot be read; it is passed over"),
            })?;
            Ok(found)
        });
        each.await
    }
}

fn written(run: Uuid, head: &Head) -> Result<Vec<u8>, StoreError> {
    head.write().map_err(|_| StoreError::Unreadable { run })
}

fn read(run: Uuid, bytes: &[u8]) -> Result<Head, StoreError> {
    Head::read(bytes).map_err(|_| StoreError::Unreadable { run })
}

/// A report as the text that it is.
fn text(bytes: Vec<u8>) -> Option<Box<RawValue>> {
    let text = String::from_utf8(bytes).ok()?;
    RawValue::from_string(text).ok()
}

#[cfg(test)]
mod tests;
