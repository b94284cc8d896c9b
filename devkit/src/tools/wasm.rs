//! The compiler for guests.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::cache;

/// What the build of a guest needs in its environment, and only that build:
/// empty where rustup has the target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestEnv {
    variables: Vec<(String, String)>,
}

impl GuestEnv {
    /// Sets the variables for one command.
    pub fn apply(&self, command: &mut Command) {
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
    }

    /// What `rustc -vV` of the guests' compiler says: two compilers make two
    /// different components of one source.
    pub fn compiler(&self) -> Result<String> {
        let rustc = self.variables.iter().find(|(name, _)| name == "RUSTC");
        let output = Command::new(rustc.map_or("rustc", |(_, value)| value))
            .arg("-vV")
            .output()
            .context("cannot run `rustc`")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn parse(text: &str) -> Self {
        let variables = text.lines().filter_map(|line| line.split_once('='));
        Self {
            variables: variables
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }
}

/// Makes wasm32-wasip2 usable: rustup has it, rustup adds it, or Debian's
/// sources build it once in the target folder (one to two minutes).
pub fn wasm_target() -> Result<GuestEnv> {
    let folder = cache::folder("wasm-target")?;
    // The script locks the folder itself and says on stderr what it does.
    let status = script()
        .arg(&folder)
        .stdout(Stdio::null())
        .status()
        .context("cannot run `bash`")?;
    if !status.success() {
        bail!("the wasm32-wasip2 target cannot be had on this machine (the reason stands above)");
    }
    let env = folder.join("env");
    let text =
        std::fs::read_to_string(&env).with_context(|| format!("cannot read {}", env.display()))?;
    Ok(GuestEnv::parse(&text))
}

/// Tells in an instant (or 90 s when rustup's server does not answer) whether
/// [`wasm_target`] can succeed; the error names what is missing.
pub fn wasm_probe() -> Result<()> {
    let output = script()
        .arg("--probe")
        .output()
        .context("cannot run `bash`")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn script() -> Command {
    let file: PathBuf = cache::workspace().join("xtask/wasm-target.sh");
    let mut command = Command::new("bash");
    command.arg(file).current_dir(cache::workspace());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_line_by_line() {
        assert_eq!(GuestEnv::parse(""), GuestEnv::default());
        let env = GuestEnv::parse("RUSTC=a=b\n");
        let mut command = Command::new("true");
        env.apply(&mut command);
        let set: Vec<_> = command.get_envs().collect();
        assert_eq!(set, [("RUSTC".as_ref(), Some("a=b".as_ref()))]);
    }
}
