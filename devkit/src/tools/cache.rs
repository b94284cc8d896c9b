//! Where things lie, and locks on what two processes might make at once.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the repository that this crate was compiled in.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Cargo's target folder. Test binaries and xtask lie inside it, wherever a
/// user's configuration put it; cargo marks it with a `CACHEDIR.TAG`.
pub fn target_folder() -> PathBuf {
    let marked = std::env::current_exe().ok().and_then(|binary| {
        let folder = binary.ancestors().find(|f| f.join("CACHEDIR.TAG").exists());
        folder.map(Path::to_path_buf)
    });
    marked.unwrap_or_else(|| workspace().join("target"))
}

/// A folder under `target/devkit` for things that are costly to make.
pub(super) fn folder(name: &str) -> Result<PathBuf> {
    let folder = target_folder().join("devkit").join(name);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Waits until nobody else holds `folder` and holds it until the file drops.
/// The kernel lets go of it when the process dies.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let file = folder.join("lock");
    let open = File::create(&file).with_context(|| format!("cannot make {}", file.display()))?;
    open.lock()
        .with_context(|| format!("cannot lock {}", file.display()))?;
    Ok(open)
}
