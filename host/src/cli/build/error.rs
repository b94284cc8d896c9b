//! Why there is no component.

use std::path::PathBuf;

use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::manifest::NeedKind;
use crate::name::GrantName;

use super::cargo::TARGET;

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub(super) enum BuildError {
    /// A folder without a crate.
    #[error("no `Cargo.toml` in {}", dir.display())]
    NoCrate { dir: PathBuf },
    /// There is no cargo.
    #[error("cannot start `cargo`")]
    NoCargo(#[source] std::io::Error),
    /// Its output broke off.
    #[error("cannot read the output of `cargo`")]
    Output(#[source] std::io::Error),
    /// The compiler has no standard library for the target.
    #[error("the compiler does not have the target `{TARGET}`")]
    NoTarget,
    /// Cargo has said why on stderr.
    #[error("`cargo build` failed")]
    Failed,
    /// The crate makes no component.
    #[error("the crate in {} makes no component", dir.display())]
    NoArtifact { dir: PathBuf },
    /// The crate makes several.
    #[error("the crate in {} makes more than one component", dir.display())]
    ManyArtifacts { dir: PathBuf },
    /// The component cannot be read.
    #[error("cannot read the component {}", file.display())]
    Unreadable {
        file: PathBuf,
        source: std::io::Error,
    },
    /// Beyond any real component.
    #[error("{} is larger than {} MiB", file.display(), super::MAX_COMPONENT >> 20)]
    TooLarge { file: PathBuf },
    /// An import without a need.
    #[error("the component imports `{0}`, but `task.toml` declares no need of that kind")]
    Undeclared(NeedKind),
    /// A need without an import.
    #[error(
        "`task.toml` declares `{name} = \"{kind}\"`, but the component does not import `{kind}`"
    )]
    Unused { name: GrantName, kind: NeedKind },
    /// The component cannot be written.
    #[error("cannot write {}", file.display())]
    Unwritable {
        file: PathBuf,
        source: std::io::Error,
    },
    /// The manifest that was embedded is not the one that is read back.
    #[error("the embedded manifest does not read back as it was written")]
    NotReadBack,
    /// The process is ending, or the build panicked.
    #[error("the build was interrupted")]
    Interrupted,
}

impl Diagnostic for BuildError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        match self {
            Self::NotReadBack | Self::Interrupted => Blame::Host,
            Self::NoCargo(_) | Self::Output(_) | Self::NoTarget | Self::Unwritable { .. } => {
                Blame::Operator
            }
            _ => Blame::Task,
        }
    }

    fn hint(&self) -> Option<String> {
        let cure = match self {
            Self::NoCrate { .. } => {
                "name the task's folder: `cofferdam build DIR`; for a component built elsewhere add `--component FILE`"
            }
            Self::NoCargo(_) => "install Rust with rustup, or put `cargo` on the PATH",
            Self::NoTarget => "run `rustup target add wasm32-wasip2`",
            Self::NoArtifact { .. } => {
                "add `[lib]` with `crate-type = [\"cdylib\"]` to its `Cargo.toml`"
            }
            Self::ManyArtifacts { .. } => {
                "one crate holds one task: move the others to crates of their own"
            }
            Self::Undeclared(NeedKind::Reveal) => {
                "name the grant under `[needs]`; with `reveal` the task is handed plaintext, so prefer `http` or `keys`"
            }
            Self::Undeclared(_) => "name the grant under `[needs]`, such as `billing = \"http\"`",
            Self::Unused { .. } => "remove the line, or open the grant in the task",
            Self::Unwritable { .. } => "choose another place with `--output FILE`",
            Self::Output(_)
            | Self::Failed
            | Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::NotReadBack
            | Self::Interrupted => return None,
        };
        Some(cure.to_owned())
    }
}
