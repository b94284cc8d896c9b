//! The chain and its file.

#[cfg(test)]
mod broken;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::line::{self, Hash};
use super::{AuditError, Event};
use crate::digest::Digest;
use crate::disk::Syncs;
use crate::lock::Mutex;

/// The audit of one host process. Clones share the chain.
#[derive(Clone)]
pub struct AuditLog(Arc<Shared>);

struct Shared {
    /// The chain's id.
    id: String,
    file: Arc<File>,
    path: PathBuf,
    options: AuditOptions,
    chain: Mutex<Chain>,
    syncs: Syncs,
}

struct Chain {
    /// With what is pending.
    end: End,
    /// Without it.
    written: End,
    /// A line could not be written whole: nothing may follow it.
    closed: bool,
    /// Lines that are not written yet.
    pending: Vec<u8>,
}

/// How far a chain goes.
#[derive(Clone, Copy)]
struct End {
    /// Of the next line.
    sequence: u64,
    /// Hash of the last line.
    head: Hash,
    /// Bytes.
    size: u64,
}

impl End {
    /// Of a chain without a line.
    const START: Self = Self {
        sequence: 1,
        head: line::NO_HASH,
        size: 0,
    };
}

/// Lines of so many bytes are not left for later.
const MAX_PENDING: usize = 64 << 10;

/// How the audit is kept.
#[derive(Debug, Clone, Copy)]
pub struct AuditOptions {
    /// Sync the file at each seal. Without it, a power loss may take lines
    /// that a report already speaks of; for benchmarks.
    pub sync: bool,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { sync: true }
    }
}

/// Where in the audit a fact stands: `<run>#<sequence>`. Safe to show to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRef {
    run: Arc<str>,
    sequence: u64,
}

impl AuditRef {
    /// The sequence number in the chain.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl fmt::Display for AuditRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.run, self.sequence)
    }
}

/// Writes the facts of one run into the chain.
pub struct Recorder {
    log: AuditLog,
    /// None for what belongs to no run.
    run: Option<Arc<str>>,
}

/// The end of a run's audit, with the chain's head at that moment.
#[derive(Debug, Clone)]
pub struct SealedAudit {
    /// Hash of the chain's last line; `cofferdam audit verify --head` checks it.
    /// Runs beside this one may have written that line: all lines of this run
    /// stand at it or before it.
    pub head: Digest,
    /// Whether the chain was synced to disk up to the head.
    pub synced: bool,
}

/// The line of an earlier chain after which a chain began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The earlier chain's id.
    pub chain: String,
    /// The line's sequence number.
    pub seq: u64,
    /// Its hash: the earlier chain's head at that moment. Runs that were under
    /// way then may have written more lines there.
    pub head: Digest,
}

/// The first line of a chain.
#[derive(Serialize)]
#[serde(tag = "event", rename = "chain_started")]
struct ChainStarted<'a> {
    chain: &'a str,
    host_version: &'a str,
    hostname: Option<&'a str>,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<Link>,
}

impl AuditLog {
    /// Starts a new chain in a new file of this folder (made 0700, the file 0600).
    ///
    /// # Errors
    /// When the folder or the file cannot be made, or when others can write
    /// into the folder.
    pub fn create(folder: &Path) -> Result<Self, AuditError> {
        Self::create_with(folder, AuditOptions::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As [`AuditLog::create`].
    pub fn create_with(folder: &Path, options: AuditOptions) -> Result<Self, AuditError> {
        Self::begin(folder, options, None)
    }

    /// Starts the chain that comes after this one. Its first line names the last
    /// of this one.
    ///
    /// # Errors
    /// As [`AuditLog::create`].
    pub fn followed(&self, folder: &Path) -> Result<Self, AuditError> {
        let previous = {
            let mut chain = self.0.chain.lock();
            if !chain.closed {
                // One that fails is closed, and what was written before it counts.
                let _ = self.0.write(&mut chain);
            }
            Link {
                chain: self.0.id.clone(),
                seq: chain.written.sequence - 1,
                head: digest(&chain.written.head),
            }
        };
        Self::begin(folder, self.0.options, Some(previous))
    }

    fn begin(
        folder: &Path,
        options: AuditOptions,
        previous: Option<Link>,
    ) -> Result<Self, AuditError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| AuditError::Io { path, source }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed(folder))?;
        let mode = folder.metadata().map_err(failed(folder))?.permissions();
        if mode.mode() & 0o022 != 0 {
            return Err(AuditError::Unsafe {
                path: folder.to_owned(),
            });
        }
        let chain = uuid::Uuid::now_v7().to_string();
        let started = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ");
        let path = folder.join(format!("{started}-{chain}.jsonl"));
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        let file = Arc::new(file);
        let log = Self(Arc::new(Shared {
            id: chain.clone(),
            syncs: Syncs::new(Arc::clone(&file)),
            file,
            path,
            options,
            chain: Mutex::new(Chain {
                end: End::START,
                written: End::START,
                closed: false,
                pending: Vec::with_capacity(4 << 10),
            }),
        }));
        // Not from /proc, of which a hardened unit shows its own processes only.
        let hostname = rustix::system::uname();
        let hostname = hostname.nodename().to_str().ok();
        let first = ChainStarted {
            chain: &chain,
            host_version: env!("CARGO_PKG_VERSION"),
            hostname,
            pid: std::process::id(),
            previous,
        };
        if let Err(error) = log.append(None, &first, true) {
            // A file without a line is no chain.
            let _ = std::fs::remove_file(log.path());
            return Err(error);
        }
        if options.sync {
            // The file's entry in its folder must last as the lines do.
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(failed(folder))?;
        }
        Ok(log)
    }

    /// A recorder for one run.
    pub fn recorder(&self, run: &str) -> Recorder {
        Recorder {
            log: self.clone(),
            run: Some(run.into()),
        }
    }

    /// A recorder for what belongs to no run.
    pub fn chain_recorder(&self) -> Recorder {
        Recorder {
            log: self.clone(),
            run: None,
        }
    }

    /// Whether the chain takes no more lines, because one could not be written
    /// or synced.
    pub fn is_closed(&self) -> bool {
        self.0.chain.lock().closed
    }

    /// Bytes of the chain so far.
    pub fn size(&self) -> u64 {
        self.0.chain.lock().end.size
    }

    /// The chain's file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Adds a line to the chain, which is written at once or with the next one that is.
    fn append<E: Serialize>(
        &self,
        run: Option<&str>,
        event: &E,
        is_written: bool,
    ) -> Result<(u64, Hash), AuditError> {
        let mut chain = self.0.chain.lock();
        if chain.closed {
            let path = self.0.path.clone();
            return Err(AuditError::Closed { path });
        }
        let Chain { end, pending, .. } = &mut *chain;
        let before = pending.len();
        let number = end.sequence;
        let hash = line::write(pending, number, run, event, &end.head)?;
        *end = End {
            sequence: number + 1,
            head: hash,
            size: end.size + (pending.len() - before) as u64,
        };
        if is_written || pending.len() >= MAX_PENDING {
            self.0.write(&mut chain)?;
        }
        Ok((number, hash))
    }
}

impl Shared {
    /// Writes what is pending. One write(2), so that no reader and no crash of ours
    /// finds half a line; not `write_all`, which would go on after half of one.
    fn write(&self, chain: &mut Chain) -> Result<(), AuditError> {
        if chain.pending.is_empty() {
            return Ok(());
        }
        let written = match (&mut &*self.file).write(&chain.pending) {
            Ok(written) if written == chain.pending.len() => Ok(()),
            Ok(_) => Err(std::io::ErrorKind::WriteZero.into()),
            Err(source) => Err(source),
        };
        chain.pending.clear();
        match written {
            Ok(()) => {
                chain.written = chain.end;
                Ok(())
            }
            Err(source) => {
                chain.closed = true;
                let path = self.path.clone();
                Err(AuditError::Io { path, source })
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut chain = self.chain.lock();
        if !chain.closed
            && let Err(error) = self.write(&mut chain)
        {
            tracing::error!(%error, "the last lines of the audit are lost");
        }
    }
}

impl Recorder {
    /// Appends one fact with a single `write(2)`, without syncing.
    ///
    /// # Errors
    /// When it cannot be written; the caller then refuses what it was about to
    /// do. After a failed write the chain takes no more lines.
    pub fn record(&self, event: &Event<'_>) -> Result<AuditRef, AuditError> {
        let (sequence, _) = self.log.append(self.run.as_deref(), event, true)?;
        Ok(AuditRef {
            run: self.run.clone().unwrap_or_else(|| "chain".into()),
            sequence,
        })
    }

    /// Appends the last fact of the run, which is written with the next line or before
    /// the next sync: nobody is told before that.
    ///
    /// # Errors
    /// When the chain takes no more lines.
    pub fn last(&self, event: &Event<'_>) -> Result<Unsynced, AuditError> {
        let (_, head) = self.log.append(self.run.as_deref(), event, false)?;
        Ok(Unsynced {
            log: self.log.clone(),
            head,
        })
    }

    /// Waits until the chain is on disk and tells its head. Runs that end at
    /// the same time share one sync, which begins after the last line of each.
    ///
    /// # Errors
    /// When the sync fails, or an earlier write did.
    pub async fn seal(&self) -> Result<SealedAudit, AuditError> {
        let head = {
            let chain = self.log.0.chain.lock();
            if chain.closed {
                let path = self.log.0.path.clone();
                return Err(AuditError::Closed { path });
            }
            chain.end.head
        };
        let log = self.log.clone();
        Unsynced { log, head }.synced().await
    }
}

/// The audit of a run up to a line that may not be written yet.
#[derive(Clone)]
pub struct Unsynced {
    log: AuditLog,
    /// Hash of that line.
    head: Hash,
}

impl Unsynced {
    /// Waits until it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written or synced.
    pub async fn synced(self) -> Result<SealedAudit, AuditError> {
        let shared = &*self.log.0;
        self.log.flush()?;
        // Without the chain's lock: everything up to the head is written already.
        if shared.options.sync {
            let synced = shared.syncs.sync().await;
            synced.map_err(|source| self.log.broken(source))?;
        }
        Ok(self.sealed())
    }

    /// What it is once its chain was synced.
    pub(crate) fn sealed(&self) -> SealedAudit {
        SealedAudit {
            head: digest(&self.head),
            synced: self.log.0.options.sync,
        }
    }

    /// Its chain.
    pub(crate) fn log(&self) -> &AuditLog {
        &self.log
    }
}

impl AuditLog {
    /// Writes what is pending: it outlasts this process then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn flush(&self) -> Result<(), AuditError> {
        let mut chain = self.0.chain.lock();
        if chain.closed {
            let path = self.0.path.clone();
            return Err(AuditError::Closed { path });
        }
        self.0.write(&mut chain)
    }

    /// Writes and syncs all there is so far, on this thread.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn sync_here(&self) -> Result<(), AuditError> {
        let shared = &*self.0;
        self.flush()?;
        match shared.options.sync {
            true => (shared.syncs.sync_here()).map_err(|source| self.broken(source)),
            false => Ok(()),
        }
    }

    /// How often it was synced.
    #[cfg(test)]
    pub(crate) fn syncs(&self) -> usize {
        self.0.syncs.made()
    }

    /// Whether both write the same chain.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What is on the disk is unknown now, and a second sync would not tell.
    fn broken(&self, source: std::io::Error) -> AuditError {
        self.0.chain.lock().closed = true;
        AuditError::Io {
            path: self.0.path.clone(),
            source,
        }
    }
}

fn digest(hash: &Hash) -> Digest {
    let mut bytes = [0; 32];
    // 64 hex digits of our own fill 32 bytes exactly.
    let _ = hex::decode_to_slice(hash, &mut bytes);
    Digest::from_bytes(bytes)
}
