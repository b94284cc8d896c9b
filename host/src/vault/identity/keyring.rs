//! The keys of this host: the one that it signs with, the next one, and those
//! that it signed with until a moment ago.
//!
//! They lie in the folder `identity` below the state folder: `key.pem`,
//! `next.pem` and `retired.json`, which holds public keys only. A rotation is
//! one rename, before which everything that it needs is on disk; whoever is
//! killed on the way leaves either the old state or the new one.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::IdentityKeyError;
use super::key::{PublicKey, SigningKey};
use crate::secret::{Privacy, read_whole};

/// How long a replaced key stays in the key set: what it signed last lives for
/// a minute, Vault's leeway for clocks is a minute by default, and the rest is
/// for a set that is fetched late.
pub const RETIREMENT: Duration = Duration::from_secs(10 * 60);

/// The keys of one host.
#[derive(Debug, Clone)]
pub struct Keyring(Place);

#[derive(Debug, Clone)]
enum Place {
    /// The host keeps them here.
    Folder(PathBuf),
    /// The operator keeps one there.
    File(PathBuf),
}

/// The public keys, as `jwks_url` gives them (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeySet {
    keys: Vec<PublicKey>,
}

/// What happens to the key that a rotation replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It stays in the key set for [`RETIREMENT`].
    Retires,
    /// It, and what retired before, leaves the key set at once: somebody else
    /// may have it.
    Forgotten,
}

/// A key that is out of use.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retired {
    key: PublicKey,
    until: Timestamp,
}

impl Keyring {
    /// The keys that `[vault.identity]` means: the operator's file, or the
    /// host's own below the state folder. Touches nothing yet.
    pub fn new(key_file: Option<&Path>, state: &Path) -> Self {
        Self(match key_file {
            Some(file) => Place::File(file.to_owned()),
            None => Place::Folder(state.join("identity")),
        })
    }

    /// The key to sign with; the host makes its own when there is none.
    /// Inline: three files of a few hundred bytes, and a key is made once.
    pub(super) fn active(&self) -> Result<SigningKey, IdentityKeyError> {
        let folder = match &self.0 {
            Place::File(file) => return read_key(file),
            Place::Folder(folder) => folder,
        };
        check(folder)?;
        let file = folder.join("key.pem");
        if !exists(&file)? {
            make(&file)?;
        }
        read_key(&file)
    }

    /// Every public key that a JWT may be signed with now or in a moment.
    ///
    /// # Errors
    /// When the keys cannot be read or made.
    pub fn public_keys(&self) -> Result<KeySet, IdentityKeyError> {
        let folder = match &self.0 {
            Place::File(file) => {
                let keys = vec![read_key(file)?.public().clone()];
                return Ok(KeySet { keys });
            }
            Place::Folder(folder) => folder,
        };
        let _lock = lock(folder)?;
        let mut keys = vec![self.active()?.public().clone()];
        let next = folder.join("next.pem");
        if exists(&next)? {
            keys.push(read_key(&next)?.public().clone());
        }
        for Retired { key, .. } in retired(folder)? {
            // A rotation that was killed before its rename.
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Ok(KeySet { keys })
    }

    /// Makes the next key, unless there is one, and puts it into the key set.
    /// Nothing is signed with it before [`Keyring::rotate`].
    ///
    /// # Errors
    /// When the operator keeps the key, or it cannot be made.
    pub fn stage(&self) -> Result<PublicKey, IdentityKeyError> {
        let folder = self.own_folder()?;
        let _lock = lock(folder)?;
        let next = folder.join("next.pem");
        if !exists(&next)? {
            make(&next)?;
        }
        Ok(read_key(&next)?.public().clone())
    }

    /// Signs with the next key from now on, making it when there is none.
    ///
    /// # Errors
    /// When the operator keeps the key, or a file cannot be written; then the
    /// old key is still in use.
    pub fn rotate(&self, replaced: Replaced) -> Result<PublicKey, IdentityKeyError> {
        let folder = self.own_folder()?;
        let _lock = lock(folder)?;
        let old = self.active()?.public().clone();
        let (key, next) = (folder.join("key.pem"), folder.join("next.pem"));
        if !exists(&next)? {
            make(&next)?;
        }
        let fresh = read_key(&next)?.public().clone();
        let mut out_of_use = Vec::new();
        if replaced == Replaced::Retires {
            out_of_use = retired(folder)?;
            out_of_use.push(Retired {
                key: old,
                until: Timestamp::now() + RETIREMENT,
            });
        }
        write(&folder.join("retired.json"), &json(&out_of_use)?)?;
        std::fs::rename(&next, &key).map_err(IdentityKeyError::io(&key, "replaced"))?;
        sync(folder)?;
        Ok(fresh)
    }

    fn own_folder(&self) -> Result<&Path, IdentityKeyError> {
        match &self.0 {
            Place::Folder(folder) => Ok(folder),
            Place::File(path) => Err(IdentityKeyError::Operators { path: path.clone() }),
        }
    }
}

impl KeySet {
    /// The keys as `jwt_validation_pubkeys` takes them: PEM, with a comma
    /// between two, which readers of PEM pass over.
    pub fn pem(&self) -> String {
        self.pems().join(",\n")
    }

    /// Each key as PEM; the first is the one in use.
    pub fn pems(&self) -> Vec<String> {
        self.keys.iter().filter_map(PublicKey::pem).collect()
    }
}

fn read_key(file: &Path) -> Result<SigningKey, IdentityKeyError> {
    let pem = read_whole(file, Privacy::Secret)?;
    SigningKey::from_pem(&pem).map_err(|_| IdentityKeyError::Malformed {
        path: file.to_owned(),
    })
}

/// Makes a key in a file that is not there yet. When somebody else is faster,
/// theirs counts.
fn make(file: &Path) -> Result<(), IdentityKeyError> {
    let pem = SigningKey::generate().map_err(|_| IdentityKeyError::Crypto)?;
    let temporary = temporary(file, pem.as_bytes())?;
    match temporary.persist_noclobber(file) {
        Ok(_) => {}
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(IdentityKeyError::io(file, "made")(error.error)),
    }
    sync(folder_of(file))
}

fn write(file: &Path, content: &[u8]) -> Result<(), IdentityKeyError> {
    let temporary = temporary(file, content)?;
    temporary
        .persist(file)
        .map_err(|error| IdentityKeyError::io(file, "written")(error.error))?;
    sync(folder_of(file))
}

/// A file beside it, 0600 as `tempfile` makes them, with its content on disk.
fn temporary(file: &Path, content: &[u8]) -> Result<tempfile::NamedTempFile, IdentityKeyError> {
    let written = || {
        let mut made = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(folder_of(file))?;
        made.write_all(content)?;
        made.as_file().sync_all()?;
        Ok(made)
    };
    written().map_err(IdentityKeyError::io(file, "written"))
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new("."))
}

fn sync(folder: &Path) -> Result<(), IdentityKeyError> {
    File::open(folder)
        .and_then(|open| open.sync_all())
        .map_err(IdentityKeyError::io(folder, "synced"))
}

fn exists(file: &Path) -> Result<bool, IdentityKeyError> {
    file.try_exists()
        .map_err(IdentityKeyError::io(file, "inspected"))
}

/// The replaced keys whose time is not over.
fn retired(folder: &Path) -> Result<Vec<Retired>, IdentityKeyError> {
    let path = folder.join("retired.json");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(IdentityKeyError::io(&path, "read")(error)),
    };
    let mut retired: Vec<Retired> =
        serde_json::from_slice(&text).map_err(|_| IdentityKeyError::Retired { path })?;
    let now = Timestamp::now();
    retired.retain(|one| one.until > now);
    Ok(retired)
}

fn json(retired: &[Retired]) -> Result<Vec<u8>, IdentityKeyError> {
    serde_json::to_vec(retired).map_err(|_| IdentityKeyError::Crypto)
}

/// Keeps rotations apart, and a reader of the whole set from a rotation.
fn lock(folder: &Path) -> Result<File, IdentityKeyError> {
    check(folder)?;
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(IdentityKeyError::io(&path, "made"))?;
    file.lock().map_err(IdentityKeyError::io(&path, "locked"))?;
    Ok(file)
}

/// Makes the folder if need be, and refuses one that others can enter: who can
/// replace a key there is this host to Vault.
fn check(folder: &Path) -> Result<(), IdentityKeyError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(IdentityKeyError::io(folder, "made"))?;
    let me = rustix::process::geteuid().as_raw();
    for (path, forbidden) in [(folder, 0o077), (folder_of(folder), 0o022)] {
        let facts = std::fs::metadata(path).map_err(IdentityKeyError::io(path, "inspected"))?;
        let rule = if facts.uid() != me && facts.uid() != 0 {
            "it belongs to another user"
        } else if facts.mode() & forbidden != 0 {
            "others may use it"
        } else {
            continue;
        };
        return Err(IdentityKeyError::UnsafeFolder {
            path: path.to_owned(),
            rule,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
