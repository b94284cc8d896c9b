//! Logs on disks that fail, for tests.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;

use super::{AuditLog, AuditOptions, Chain, End, Shared};
use crate::disk::Syncs;
use crate::lock::Mutex;

impl AuditLog {
    /// A log whose every write fails: on Linux, `/dev/full`.
    pub(crate) fn on_full_disk() -> Self {
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        Self::on(file, path)
    }

    /// A log that takes lines and cannot be synced: there is no disk behind `/dev/null`.
    pub(crate) fn without_a_disk() -> Self {
        let path = PathBuf::from("/dev/null");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        assert!(file.sync_data().is_err(), "it can be synced");
        Self::on(file, path)
    }

    fn on(file: File, path: PathBuf) -> Self {
        let file = Arc::new(file);
        Self(Arc::new(Shared {
            id: "test".to_owned(),
            syncs: Syncs::new(Arc::clone(&file)),
            file,
            path,
            options: AuditOptions::default(),
            chain: Mutex::new(Chain {
                end: End::START,
                written: End::START,
                closed: false,
                pending: Vec::new(),
            }),
        }))
    }
}
