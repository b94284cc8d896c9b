//! `cofferdam build`: from a folder with source and `task.toml` to one
//! component file that says what it needs.

mod cargo;
mod error;

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use serde::Serialize;

use self::cargo::CargoBuild;
use self::error::BuildError;
use super::{Failure, Format, Globals, Output};
use crate::diagnostic::Exit;
use crate::digest::Digest;
use crate::manifest::{self, Inspection, Manifest, NeedKind, TaskFile};
use crate::name::{GrantName, TaskName};

/// Largest component in bytes; one from Python has 18 MB.
const MAX_COMPONENT: u64 = 256 * 1024 * 1024;

/// Compile a task and embed what it needs.
///
/// Runs `cargo build` for `wasm32-wasip2` in DIR, embeds `task.toml` and the
/// schemas of input and result, and prints the digest line for the grants file.
#[derive(Debug, clap::Args)]
pub(super) struct BuildArgs {
    /// The folder with `Cargo.toml` and `task.toml`.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Where the component is written [default: DIR/NAME.wasm].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The cargo profile to build with.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "release",
        conflicts_with = "component"
    )]
    profile: String,
    /// Take this component, built elsewhere, instead of running cargo.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
}

/// What was built.
#[derive(Debug, Serialize)]
struct Built {
    task: TaskName,
    component: PathBuf,
    size: usize,
    digest: Digest,
    needs: BTreeMap<GrantName, NeedKind>,
    imports: Vec<String>,
}

/// Executes the command.
pub(super) async fn execute(
    args: BuildArgs,
    _globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    // Cargo, the compiler of wasmtime and the file system all block.
    let built = match tokio::task::spawn_blocking(move || build(args)).await {
        Ok(built) => built?,
        Err(_) => return Err(BuildError::Interrupted.into()),
    };
    match output.format() {
        Format::Json => output.json(&built),
        Format::Text => {
            output.note(format_args!(
                "built task `{}`: {} ({})",
                built.task,
                built.component.display(),
                ByteSize::b(built.size as u64).display().si(),
            ));
            output.note("the line for the grants file:");
            output.data(format_args!("digest = \"{}\"", built.digest));
        }
    }
    Ok(Exit::Done)
}

fn build(args: BuildArgs) -> Result<Built, Failure> {
    let task = TaskFile::read(&args.dir.join("task.toml"))?;
    let compiled = match args.component {
        Some(component) => component,
        None => CargoBuild {
            dir: &args.dir,
            profile: &args.profile,
        }
        .run()?,
    };
    let bytes = read_component(&compiled)?;
    let inspection = manifest::inspect(&bytes)?;
    compare(&task, &inspection)?;

    let target = args
        .output
        .unwrap_or_else(|| args.dir.join(format!("{}.wasm", task.name)));
    let Inspection {
        imports,
        description,
        ..
    } = inspection;
    let manifest = task.manifest(description);
    let bytes = manifest.embed(&bytes)?;
    // What is printed must be what a reader of the file will see.
    if Manifest::read(&bytes)?.as_ref() != Some(&manifest) {
        return Err(BuildError::NotReadBack.into());
    }
    write_atomically(&target, &bytes).map_err(|source| BuildError::Unwritable {
        file: target.clone(),
        source,
    })?;
    Ok(Built {
        task: manifest.name,
        component: target,
        size: bytes.len(),
        digest: Digest::of(&bytes),
        needs: manifest.needs,
        imports,
    })
}

/// What the author declares and what the component can do must be the same:
/// a reviewer reads only the first.
fn compare(task: &TaskFile, inspection: &Inspection) -> Result<(), BuildError> {
    for kind in &inspection.kinds {
        if !task.needs.values().any(|need| need == kind) {
            return Err(BuildError::Undeclared(*kind));
        }
    }
    for (name, kind) in &task.needs {
        if !inspection.kinds.contains(kind) {
            return Err(BuildError::Unused {
                name: name.clone(),
                kind: *kind,
            });
        }
    }
    Ok(())
}

fn read_component(file: &Path) -> Result<Vec<u8>, BuildError> {
    let unreadable = |source| BuildError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(unreadable)?;
    opened
        .take(MAX_COMPONENT + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_COMPONENT {
        return Err(BuildError::TooLarge {
            file: file.to_owned(),
        });
    }
    Ok(bytes)
}

/// A reader sees the old file or the new one, never a part.
fn write_atomically(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(".cofferdam-build-")
        // The umask takes its part off; a component is no secret.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.as_file().sync_all()?;
    temporary.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(needs: &str, kinds: &[NeedKind]) -> Result<(), String> {
        let text = format!("name = \"t\"\n[needs]\n{needs}");
        let task = TaskFile::parse(&text, Path::new("task.toml")).unwrap();
        let inspection = Inspection {
            imports: Vec::new(),
            kinds: kinds.to_vec(),
            description: None,
        };
        compare(&task, &inspection).map_err(|error| error.to_string())
    }

    #[test]
    fn needs_and_imports_are_the_same() {
        assert_eq!(compared("", &[]), Ok(()));
        assert_eq!(
            compared("a = \"http\"\nb = \"http\"", &[NeedKind::Http]),
            Ok(())
        );
        assert_eq!(
            compared("a = \"http\"", &[NeedKind::Http, NeedKind::Reveal]).unwrap_err(),
            "the component imports `reveal`, but `task.toml` declares no need of that kind"
        );
        assert_eq!(
            compared("a = \"http\"\nb = \"keys\"", &[NeedKind::Http]).unwrap_err(),
            "`task.toml` declares `b = \"keys\"`, but the component does not import `keys`"
        );
    }

    #[test]
    fn a_file_is_replaced_in_one_step() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.wasm");
        std::fs::write(&file, "old").unwrap();
        write_atomically(&file, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_atomically(&folder.path().join("none/t.wasm"), b"new").is_err());
    }
}
