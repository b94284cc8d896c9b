//! PostgreSQL's own programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::cache;

/// Where Debian puts one folder per major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder with `postgres` and `initdb`: on the PATH, else Debian's newest,
/// else Debian's package is installed (a minute, once).
pub fn postgres() -> Result<PathBuf> {
    if let Some(found) = postgres_at_hand() {
        return Ok(found);
    }
    let lock = cache::folder("postgres")?;
    let _lock = cache::lock(&lock)?;
    run(&[])?;
    postgres_at_hand().context("PostgreSQL was installed and cannot be found")
}

/// Tells at once whether [`postgres`] can succeed; the error names what is missing.
pub fn postgres_probe() -> Result<()> {
    match postgres_at_hand() {
        Some(_) => Ok(()),
        None => run(&["--probe"]),
    }
}

fn postgres_at_hand() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| complete(folder));
    on_path.or_else(|| newest(Path::new(DEBIAN)))
}

fn newest(debian: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(debian).ok()?.flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| complete(folder))
        .collect();
    found.sort();
    found.pop().map(|(_, folder)| folder)
}

fn complete(folder: &Path) -> bool {
    ["postgres", "initdb", "pg_isready"]
        .iter()
        .all(|program| folder.join(program).is_file())
}

fn run(arguments: &[&str]) -> Result<()> {
    let output = Command::new("bash")
        .arg(cache::workspace().join("xtask/postgres.sh"))
        .args(arguments)
        .output()
        .context("cannot run `bash`")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_version_is_taken() {
        let folder = crate::process::private_folder("versions").unwrap();
        assert_eq!(newest(folder.path()), None);
        for (version, programs) in [
            ("9", &["postgres", "initdb", "pg_isready"][..]),
            ("15", &["postgres", "initdb", "pg_isready"]),
            ("17", &["postgres"]),
            ("common", &["postgres", "initdb", "pg_isready"]),
        ] {
            let bin = folder.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            for program in programs {
                std::fs::write(bin.join(program), "").unwrap();
            }
        }
        assert_eq!(newest(folder.path()), Some(folder.path().join("15/bin")));
    }
}
