//! Compiled code, handed from one world to the next.
//!
//! A debug build takes one to three seconds of a processor to compile a probe, and every
//! test has a world of its own. So a world gets the code that an earlier one made, with
//! the key that vouches for it, and leaves what it made itself. The host checks both as
//! ever.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use crate::process::private_directory;
use crate::tools;

/// The host's names, in its `state` and for what is in its `cache`.
const KEY: &str = "cache.key";
const ENTRY: &str = "cwasm";

/// The code that is kept in the target folder.
pub(super) struct Compiled(PathBuf);

impl Compiled {
    pub(super) fn open() -> Result<Self> {
        let folder = tools::target_folder().join("devkit/compiled");
        private_directory(&folder)?;
        let key = folder.join(KEY);
        if !key.exists() {
            place_once(&key, &rand::random::<[u8; 32]>())?;
        }
        Ok(Self(folder))
    }

    /// Gives a world the key, and the code of the component with this digest if there is
    /// any. A world that has a key keeps its own, and so does another user.
    pub(super) fn lend(&self, world: &Path, digest: &str) -> Result<()> {
        let (state, cache) = (world.join("state"), world.join("cache"));
        private_directory(&state)?;
        private_directory(&cache)?;
        if fs::metadata(&state)?.uid() != fs::metadata(world)?.uid() {
            return Ok(());
        }
        if !state.join(KEY).exists() {
            place_once(&state.join(KEY), &fs::read(self.0.join(KEY))?)?;
        }
        if self.is_key_of(world) {
            copy(&self.0, &cache, |name| name.starts_with(digest))?;
        }
        Ok(())
    }

    /// Takes over what a world compiled under our key, also in place of what we had: the host
    /// has not trusted that, as after a change of its format.
    pub(super) fn keep(&self, world: &Path) -> Result<()> {
        if self.is_key_of(world) {
            copy(&world.join("cache"), &self.0, |_| true)?;
        }
        Ok(())
    }

    fn is_key_of(&self, world: &Path) -> bool {
        let (ours, theirs) = (self.0.join(KEY), world.join("state").join(KEY));
        matches!((fs::read(ours), fs::read(theirs)), (Ok(ours), Ok(theirs)) if ours == theirs)
    }
}

/// Copies the entries that are not there, or are there with other bytes.
fn copy(from: &Path, to: &Path, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?.path();
        let name = entry.file_name().and_then(|name| name.to_str());
        let is_entry = entry.extension().is_some_and(|it| it == ENTRY);
        if let Some(name) = name.filter(|name| is_entry && is_wanted(name)) {
            let (there, bytes) = (to.join(name), fs::read(&entry)?);
            if fs::read(&there).ok().as_ref() != Some(&bytes) {
                place(&there, &bytes)?;
            }
        }
    }
    Ok(())
}

/// Writes a file that only its owner may touch, whole or not at all.
fn place(path: &Path, bytes: &[u8]) -> Result<()> {
    let file = written_beside(path, bytes)?;
    file.persist(path)
        .map(drop)
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// The same for one that, once it is there, never changes.
fn place_once(path: &Path, bytes: &[u8]) -> Result<()> {
    match written_beside(path, bytes)?.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => {
            Err(error.error).with_context(|| format!("cannot write `{}`", path.display()))
        }
        // Somebody was faster: theirs counts.
        _ => Ok(()),
    }
}

fn written_beside(path: &Path, bytes: &[u8]) -> Result<NamedTempFile> {
    // Its mode is 0600 from the start.
    let mut file = NamedTempFile::new_in(path.parent().context("a file without a folder")?)?;
    file.write_all(bytes)?;
    Ok(file)
}
