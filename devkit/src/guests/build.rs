//! Builds guests when they are older than their sources.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use super::inputs;
use crate::tools::{self, forget_outer_cargo};

/// Where components are put.
pub fn folder() -> PathBuf {
    tools::target_folder().join("guests")
}

/// The component of the guest in the folder `name`. An error when it is not
/// there or older than its sources: a test of a stale guest proves nothing.
pub fn component(name: &str) -> Result<PathBuf> {
    static CURRENT: OnceLock<Result<bool, String>> = OnceLock::new();
    let current = CURRENT.get_or_init(|| {
        let stamp = std::fs::read_to_string(stamp()).unwrap_or_default();
        let hash = inputs::hash(&tools::workspace()).map_err(|error| format!("{error:#}"))?;
        Ok(stamp.lines().next() == Some(&hash))
    });
    match current {
        Ok(true) => {}
        Ok(false) => bail!("the guests are older than their sources: run `cargo xtask guests`"),
        Err(error) => bail!("{error}"),
    }
    let file = folder().join(format!("{name}.wasm"));
    if !file.is_file() {
        bail!("there is no guest `{name}`: run `cargo xtask guests`");
    }
    Ok(file)
}

/// Builds all guests with the host's binary `cofferdam`, unless they are
/// current; tells `say` about each. Gives the components.
pub fn build_all(cofferdam: &Path, mut say: impl FnMut(&str)) -> Result<Vec<PathBuf>> {
    let workspace = tools::workspace();
    let out = folder();
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let _lock = tools::lock(&out)?;

    let env = tools::wasm_target()?;
    let wanted = format!("{}\n{}", inputs::hash(&workspace)?, env.compiler()?);
    let guests = inputs::guests(&workspace)?;
    let components: Vec<PathBuf> = guests.iter().map(|guest| place(&out, guest)).collect();
    let is_current = std::fs::read_to_string(stamp()).is_ok_and(|stamp| stamp == wanted);
    if is_current && components.iter().all(|component| component.is_file()) {
        say("the guests are up to date");
        return Ok(components);
    }
    // Gone until everything is built: a build that fails leaves no old proof.
    let _ = std::fs::remove_file(stamp());
    for (guest, component) in guests.iter().zip(&components) {
        let name = guest.strip_prefix(&workspace).unwrap_or(guest);
        say(&format!("building {}", name.display()));
        let mut command = Command::new(cofferdam);
        command.arg("build").arg(guest).arg("-o").arg(component);
        command.current_dir(&workspace).stdout(Stdio::null());
        forget_outer_cargo(&mut command);
        env.apply(&mut command);
        let status = command.status().context("cannot run `cofferdam build`")?;
        if !status.success() {
            bail!("`cofferdam build {}` failed ({status})", name.display());
        }
    }
    std::fs::write(stamp(), wanted).context("cannot note that the guests are built")?;
    Ok(components)
}

/// The hash of the sources in the first line, then the compiler.
fn stamp() -> PathBuf {
    folder().join("stamp")
}

fn place(out: &Path, guest: &Path) -> PathBuf {
    let name = guest.file_name().unwrap_or_default().to_string_lossy();
    out.join(format!("{name}.wasm"))
}
