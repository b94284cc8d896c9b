//! Who does what on the stage.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use cofferdam_devkit::process::{dying_with_us, dying_with_us_as, private_folder};
use cofferdam_devkit::tools;

/// Whose processes are on the stage.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum User {
    /// Whose Cofferdam it is: the log-in, the grants, the audit.
    Host,
    /// Who wants tasks run and holds no credential.
    Caller,
}

impl User {
    /// A number that no ordinary machine has given away.
    pub(crate) const fn id(self) -> u32 {
        match self {
            Self::Host => 54_321,
            Self::Caller => 54_322,
        }
    }

    /// A command of this user's. Without root all are the one who is there.
    pub(super) fn command(self, program: &Path) -> Command {
        match is_root() {
            true => dying_with_us_as(self.id(), program),
            false => dying_with_us(program),
        }
    }
}

/// Whether users can be told apart here.
pub(crate) fn is_root() -> bool {
    // Our own entry under /proc belongs to our effective user.
    std::fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == 0)
}

/// A folder in `target/`, or elsewhere when other users cannot get there.
pub(super) fn folder(name: &str) -> Result<PathBuf> {
    let folder = tools::target_folder().join(name);
    let passes = |parent: &Path| {
        std::fs::metadata(parent).is_ok_and(|facts| facts.permissions().mode() & 0o001 != 0)
    };
    if !is_root() || tools::target_folder().ancestors().all(passes) {
        return Ok(folder);
    }
    Ok(private_folder(name)?.keep())
}

/// Gives a file, or a folder without what is in it, to the host's user.
pub(super) fn hand_over(path: &Path) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    let id = Some(User::Host.id());
    lchown(path, id, id).with_context(|| format!("cannot give away {}", path.display()))
}

/// Lets everybody look into a folder that is there or not, but not write.
pub(super) fn open(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)))
        .with_context(|| format!("cannot open {}", folder.display()))
}
