//! What a guest is made of, as one hash.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

/// Where guests and what they are made of lie, from the workspace's root. The
/// last two embed the manifest.
const SOURCES: [&str; 7] = [
    ".cargo/config.toml",
    "wit",
    "guest-sdk",
    "examples",
    "tests/guests",
    "host/src/manifest",
    "host/src/cli/build.rs",
];

/// Folders below them without influence on a component.
const ASIDE: [&str; 4] = ["target", "server", "grants", "docs"];

/// The file types that have influence.
const KINDS: [&str; 5] = ["rs", "toml", "lock", "wit", "json"];

/// A hash over the names and contents of all sources, in hex.
pub(super) fn hash(workspace: &Path) -> Result<String> {
    let mut sum = Sha256::new();
    for source in SOURCES {
        let top = workspace.join(source);
        if !top.exists() {
            continue;
        }
        let walk = WalkDir::new(&top).sort_by_file_name();
        for entry in walk.into_iter().filter_entry(|entry| !is_aside(entry)) {
            let entry = entry.context("cannot read the guests' sources")?;
            if entry.file_type().is_file() && has_influence(entry.path()) {
                add(&mut sum, workspace, entry.path())?;
            }
        }
    }
    Ok(hex::encode(sum.finalize()))
}

/// Lengths keep two neighbouring texts apart.
fn add(sum: &mut Sha256, workspace: &Path, file: &Path) -> Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.strip_prefix(workspace).unwrap_or(file);
    for part in [name.as_os_str().as_encoded_bytes(), &bytes] {
        sum.update((part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    Ok(())
}

fn is_aside(entry: &DirEntry) -> bool {
    entry.file_type().is_dir() && ASIDE.iter().any(|name| entry.file_name() == *name)
}

fn has_influence(file: &Path) -> bool {
    let kind = file.extension().and_then(|kind| kind.to_str());
    kind.is_some_and(|kind| KINDS.contains(&kind))
}

/// Every guest's folder, in a fixed order.
pub(super) fn guests(workspace: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for parent in ["examples", "tests/guests"] {
        let parent = workspace.join(parent);
        if !parent.exists() {
            continue;
        }
        let walk = WalkDir::new(&parent)
            .min_depth(1)
            .max_depth(1)
            .sort_by_file_name();
        for entry in walk {
            let entry = entry.context("cannot read the guests' folders")?;
            if entry.path().join("task.toml").is_file() {
                found.push(entry.into_path());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, file: &str, text: &str) {
        let file = root.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }

    #[test]
    fn the_hash_follows_sources_and_nothing_else() {
        let folder = crate::process::private_folder("inputs").unwrap();
        let root = folder.path();
        put(root, "examples/a/src/lib.rs", "1");
        put(root, "guest-sdk/Cargo.lock", "1");
        let first = hash(root).unwrap();

        put(root, "examples/a/README.md", "2");
        put(root, "guest-sdk/target/x.rs", "2");
        put(root, "examples/a/grants/a.toml", "2");
        assert_eq!(hash(root).unwrap(), first);

        put(root, "examples/a/src/lib.rs", "2");
        let second = hash(root).unwrap();
        assert_ne!(second, first);
        put(root, "tests/guests/p/task.toml", "");
        assert_ne!(hash(root).unwrap(), second);
    }

    #[test]
    fn a_guest_is_a_folder_with_a_task() {
        let folder = crate::process::private_folder("list").unwrap();
        let root = folder.path();
        assert!(guests(root).unwrap().is_empty());
        put(root, "examples/b/task.toml", "");
        put(root, "examples/a/task.toml", "");
        put(root, "examples/c/other.toml", "");
        put(root, "tests/guests/p/task.toml", "");
        let names = ["examples/a", "examples/b", "tests/guests/p"];
        assert_eq!(guests(root).unwrap(), names.map(|name| root.join(name)));
    }
}
