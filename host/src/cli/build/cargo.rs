//! Runs `cargo build` and finds what it made.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::BuildError;

/// The target whose standard library makes components.
pub(super) const TARGET: &str = "wasm32-wasip2";

/// One build of one crate.
pub(super) struct CargoBuild<'a> {
    /// The folder of its `Cargo.toml`.
    pub(super) dir: &'a Path,
    /// The cargo profile.
    pub(super) profile: &'a str,
}

/// A line of cargo's `--message-format json`, as far as it matters here.
/// Cargo adds fields as it likes, so unknown ones are let through.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

impl CargoBuild<'_> {
    /// Builds, with cargo's own words on stderr, and returns the component's path.
    pub(super) fn run(&self) -> Result<PathBuf, BuildError> {
        let manifest = self.dir.join("Cargo.toml");
        let manifest = manifest.canonicalize().map_err(|_| BuildError::NoCrate {
            dir: self.dir.to_owned(),
        })?;
        let mut cargo = Command::new(tool("CARGO", "cargo"))
            .args(["build", "--target", TARGET, "--profile", self.profile])
            .arg("--message-format=json-render-diagnostics")
            .arg("--manifest-path")
            .arg(&manifest)
            // For the `.cargo/config.toml` of the crate.
            .current_dir(self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(BuildError::NoCargo)?;
        let mut made = Vec::new();
        if let Some(stdout) = cargo.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                made.extend(components(&line.map_err(BuildError::Output)?, &manifest));
            }
        }
        let status = cargo.wait().map_err(BuildError::Output)?;
        if !status.success() {
            return Err(match self.has_target() {
                true => BuildError::Failed,
                false => BuildError::NoTarget,
            });
        }
        let dir = self.dir.to_owned();
        match (made.pop(), made.is_empty()) {
            (Some(component), true) => Ok(component),
            (Some(_), false) => Err(BuildError::ManyArtifacts { dir }),
            (None, _) => Err(BuildError::NoArtifact { dir }),
        }
    }

    /// Whether the compiler has the target. Asked only after a failure, where
    /// it makes the difference between "see above" and a cure.
    fn has_target(&self) -> bool {
        let answer = Command::new(tool("RUSTC", "rustc"))
            .args(["--print", "target-libdir", "--target", TARGET])
            .current_dir(self.dir)
            .stdin(Stdio::null())
            .output();
        match answer {
            Ok(answer) if answer.status.success() => {
                let libdir = String::from_utf8_lossy(&answer.stdout);
                Path::new(libdir.trim_end()).is_dir()
            }
            // No answer, no claim.
            _ => true,
        }
    }
}

/// The tool that the environment names, as cargo itself does it.
#[expect(
    clippy::disallowed_methods,
    reason = "names of tools, never a credential"
)]
fn tool(variable: &str, default: &str) -> OsString {
    std::env::var_os(variable).unwrap_or_else(|| default.into())
}

/// The components of this crate that a message speaks of.
fn components(line: &str, manifest: &Path) -> Vec<PathBuf> {
    // Build scripts may print lines that are no messages.
    let Ok(message) = serde_json::from_str::<Message>(line) else {
        return Vec::new();
    };
    if message.reason != "compiler-artifact" || message.manifest_path != manifest {
        return Vec::new();
    }
    let wasm = |file: &PathBuf| file.extension().is_some_and(|it| it == "wasm");
    message.filenames.into_iter().filter(wasm).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_component_among_the_messages() {
        let manifest = Path::new("/a/Cargo.toml");
        let line = |reason: &str, manifest: &str, file: &str| {
            format!(
                r#"{{"reason":"{reason}","manifest_path":"{manifest}","filenames":["{file}"],"fresh":true}}"#
            )
        };
        let found = |line: &str| components(line, manifest);
        assert_eq!(
            found(&line("compiler-artifact", "/a/Cargo.toml", "/t/a.wasm")),
            [Path::new("/t/a.wasm")]
        );
        assert!(found(&line("compiler-artifact", "/a/Cargo.toml", "/t/liba.rlib")).is_empty());
        assert!(found(&line("compiler-artifact", "/b/Cargo.toml", "/t/b.wasm")).is_empty());
        assert!(found(&line("other", "/a/Cargo.toml", "/t/a.wasm")).is_empty());
        assert!(found(r#"{"reason":"build-finished","success":true}"#).is_empty());
        assert!(found("warning: no message").is_empty());
    }
}
