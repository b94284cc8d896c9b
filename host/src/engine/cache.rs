//! The compiled-code cache.
//!
//! Loading compiled code is as powerful as loading a shared library, so an
//! entry is used only if this host wrote it: the folder belongs to the host's
//! user and is closed to others, and every entry carries an HMAC-SHA-256 under
//! a key in the state folder. An entry that fails the check is compiled anew.

use std::fs::{self, DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use zeroize::Zeroizing;

use super::LoadError;
use crate::digest::Digest;

const TAG_LEN: usize = 32;
const KEY_LEN: usize = 32;

/// Compiled components by digest and engine.
pub(super) struct CodeCache {
    folder: PathBuf,
    key: Zeroizing<[u8; KEY_LEN]>,
    /// What the code depends on besides the component: wasmtime's version, settings, CPU.
    compatibility: String,
}

impl CodeCache {
    pub(super) fn open(
        folder: &Path,
        state: &Path,
        engine: &wasmtime::Engine,
    ) -> Result<Self, LoadError> {
        private_folder(folder)?;
        private_folder(state)?;
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let mut compatibility = hex::encode(hasher.0.finalize());
        compatibility.truncate(16);
        Ok(Self {
            folder: folder.to_owned(),
            key: key(&state.join("cache.key"))?,
            compatibility,
        })
    }

    /// The compiled code of this component, if this host has written it.
    pub(super) fn load(&self, digest: &Digest, engine: &wasmtime::Engine) -> Option<Component> {
        let bytes = fs::read(self.path(digest)).ok()?;
        let (tag, code) = bytes.split_at_checked(TAG_LEN)?;
        if self.mac(digest, code)?.verify_slice(tag).is_err() {
            tracing::warn!(component = %digest, "a code cache entry was not written by this host; compiling anew");
            return None;
        }
        #[allow(
            unsafe_code,
            reason = "the one place that loads compiled code; see SAFETY"
        )]
        // SAFETY: `deserialize` demands bytes that `Component::serialize` made.
        // The MAC proves that a process that can read the key in the 0700 state
        // folder wrote exactly these bytes for this digest, and `store` below is
        // the only writer: it writes what `serialize` returned. wasmtime itself
        // refuses code of another version, CPU or setting.
        unsafe { Component::deserialize(engine, code) }.ok()
    }

    /// Keeps the compiled code. A failure costs time at the next load, nothing else.
    pub(super) fn store(&self, digest: &Digest, component: &Component) {
        let written = component.serialize().map_err(|_| None).and_then(|code| {
            let mac = self.mac(digest, &code).ok_or(None)?;
            self.write(digest, &mac.finalize().into_bytes(), &code)
                .map_err(Some)
        });
        if let Err(error) = written {
            tracing::warn!(component = %digest, ?error, "the compiled code could not be cached");
        }
    }

    fn write(&self, digest: &Digest, tag: &[u8], code: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.folder)?;
        file.write_all(tag)?;
        file.write_all(code)?;
        file.persist(self.path(digest))?;
        Ok(())
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder
            .join(format!("{}-{}.cwasm", digest.to_hex(), self.compatibility))
    }

    fn mac(&self, digest: &Digest, code: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_slice()).ok()?;
        mac.update(digest.as_bytes());
        mac.update(self.compatibility.as_bytes());
        mac.update(code);
        Some(mac)
    }
}

/// Makes the folder if need be and refuses one that somebody else could write.
fn private_folder(folder: &Path) -> Result<(), LoadError> {
    let refuse = |reason: String| LoadError::Cache {
        path: folder.to_owned(),
        reason,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| refuse(error.to_string()))?;
    let metadata = fs::metadata(folder).map_err(|error| refuse(error.to_string()))?;
    private(&metadata).map_err(refuse)
}

/// Tells why somebody else could use this file or folder.
fn private(metadata: &fs::Metadata) -> Result<(), String> {
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err("it belongs to another user".to_owned());
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(format!("others can use it (mode {mode:04o})"));
    }
    Ok(())
}

/// The MAC key: read, or made once. Two processes that start together agree,
/// because only one can create the file.
fn key(path: &Path) -> Result<Zeroizing<[u8; KEY_LEN]>, LoadError> {
    let refuse = |error: io::Error| LoadError::Cache {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut key = Zeroizing::new([0; KEY_LEN]);
    match File::open(path) {
        Ok(mut file) => {
            private(&file.metadata().map_err(refuse)?)
                .map_err(|reason| refuse(io::Error::other(reason)))?;
            file.read_exact(key.as_mut_slice()).map_err(refuse)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            rand::fill(key.as_mut_slice());
            let folder = path.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::Builder::new()
                .prefix(".key-")
                .tempfile_in(folder)
                .map_err(refuse)?;
            file.write_all(key.as_slice()).map_err(refuse)?;
            match file.persist_noclobber(path) {
                Ok(_) => {}
                // Somebody was faster: theirs counts.
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                    File::open(path)
                        .and_then(|mut file| file.read_exact(key.as_mut_slice()))
                        .map_err(refuse)?;
                }
                Err(error) => return Err(refuse(error.error)),
            }
        }
        Err(error) => return Err(refuse(error)),
    }
    Ok(key)
}

/// Lets wasmtime's compatibility hash feed a hash that is stable between builds.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Only the digest itself is used.
        0
    }
}
