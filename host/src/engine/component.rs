//! A component that fits its grants.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::component::Component;

use super::LoadError;
use super::lane::Lane;
use super::running::Habit;
use super::setup::{Engine, Progress};
use super::state::TaskState;
use super::ticker::Activity;
use crate::capability::bindings::TaskPre;
use crate::digest::Digest;
use crate::grants::{self, Grants, Limits};

/// The largest component file. A Python component is about 20 MB.
const MAX_COMPONENT: u64 = 256 << 20;

/// The interface whose import earns a task a grace period when cancelled.
const CONTROL: &str = "cofferdam:task/control@";

/// A component: its digest is the pinned one, its imports are offered by the
/// host. Cheap to clone. [`LoadedTask::covered_by`] must hold for the grants of
/// each run.
#[derive(Clone)]
pub struct LoadedTask(Arc<Loaded>);

struct Loaded {
    digest: Digest,
    pre: TaskPre<TaskState>,
    imports: Vec<String>,
    /// Of the engine that it runs on.
    activity: Arc<Activity>,
    lane: Arc<Lane>,
    habit: Arc<Habit>,
}

impl LoadedTask {
    /// The digest of the component's bytes.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// The interfaces that it imports, with versions.
    pub fn imports(&self) -> &[String] {
        &self.0.imports
    }

    /// Whether the task can ask if it was cancelled.
    pub(crate) fn watches_cancellation(&self) -> bool {
        self.imports()
            .iter()
            .any(|import| import.starts_with(CONTROL))
    }

    pub(super) fn pre(&self) -> &TaskPre<TaskState> {
        &self.0.pre
    }

    pub(super) fn activity(&self) -> &Activity {
        &self.0.activity
    }

    pub(super) fn lane(&self) -> &Arc<Lane> {
        &self.0.lane
    }

    pub(super) fn habit(&self) -> &Arc<Habit> {
        &self.0.habit
    }

    /// Whether there are other clones of it.
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn covered_by(&self, grants: &Grants, path: &Path) -> Result<(), LoadError> {
        match grants::uncovered(self.imports(), grants).into_iter().next() {
            Some(uncovered) => Err(LoadError::Uncovered {
                path: path.to_owned(),
                uncovered,
            }),
            None => Ok(()),
        }
    }
}

impl Engine {
    /// Loads the component that the grants pin. A component that was loaded
    /// before under the same digest is not read again, nor is one that is being
    /// loaded: all who want it wait for the one that came first. Compiling is one
    /// component at a time and on threads of low priority. Blocks while it reads,
    /// compiles and waits.
    ///
    /// # Errors
    /// [`LoadError`] for a file that is missing, malformed, not the pinned one,
    /// or imports what is not granted.
    pub fn load(
        &self,
        grants: &Grants,
        root: &Path,
        progress: &dyn Progress,
    ) -> Result<LoadedTask, LoadError> {
        self.holds(&grants.limits)?;
        let path = root.join(&grants.component);
        let load = || self.load_file(&path, grants.digest, progress);
        let task = self.inner().loaded.get_or_load(grants.digest, load)?;
        task.covered_by(grants, &path)?;
        Ok(task)
    }

    /// Gives back the memory of the components that nobody holds any more. One that is
    /// wanted again is loaded again.
    pub fn forget_unused(&self) {
        self.inner().loaded.forget_unused();
    }

    /// Whether the pool is large enough for what the grants allow.
    fn holds(&self, limits: &Limits) -> Result<(), LoadError> {
        let pool = &self.inner().config;
        let core_instances = usize::try_from(pool.max_core_instances).unwrap_or(usize::MAX);
        for (field, wanted, available) in [
            ("memory", limits.memory, pool.max_memory),
            (
                "table_elements",
                limits.table_elements,
                pool.max_table_elements,
            ),
            ("instances", limits.instances, core_instances),
        ] {
            if wanted > available {
                return Err(LoadError::Pool {
                    field,
                    wanted,
                    available,
                });
            }
        }
        Ok(())
    }

    fn load_file(
        &self,
        path: &Path,
        expected: Digest,
        progress: &dyn Progress,
    ) -> Result<LoadedTask, LoadError> {
        let bytes = read(path)?;
        let found = Digest::of(&bytes);
        if found != expected {
            return Err(LoadError::Digest {
                path: path.to_owned(),
                expected,
                found,
            });
        }
        let component = self.compile(path, &bytes, &found, progress)?;
        // Now, and not with its first run: a run that begins when no file
        // descriptor is left needs none.
        component
            .initialize_copy_on_write_image()
            .map_err(|source| LoadError::Image {
                path: path.to_owned(),
                source,
            })?;
        let imports = component
            .component_type()
            .imports(&self.inner().wasmtime)
            .map(|(name, _)| name.to_owned())
            .collect();
        let world = |source| LoadError::World {
            path: path.to_owned(),
            source,
        };
        let pre = self
            .inner()
            .linker
            .instantiate_pre(&component)
            .map_err(world)?;
        Ok(LoadedTask(Arc::new(Loaded {
            digest: found,
            pre: TaskPre::new(pre).map_err(world)?,
            imports,
            activity: Arc::clone(&self.inner().activity),
            lane: Arc::clone(&self.inner().lane),
            habit: Arc::default(),
        })))
    }

    fn compile(
        &self,
        path: &Path,
        bytes: &[u8],
        digest: &Digest,
        progress: &dyn Progress,
    ) -> Result<Component, LoadError> {
        let inner = self.inner();
        if let Some(component) = inner.cache.load(digest, &inner.wasmtime) {
            return Ok(component);
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(LoadError::NotWasm {
                path: path.to_owned(),
            });
        }
        if is_core_module(bytes) {
            return Err(LoadError::CoreModule {
                path: path.to_owned(),
            });
        }
        let component = inner
            .compiler
            .compile(&inner.wasmtime, bytes, path, progress)
            .map_err(|source| LoadError::Malformed {
                path: path.to_owned(),
                source,
            })?;
        inner.cache.store(digest, &component);
        Ok(component)
    }
}

/// `\0asm`, version 1, layer 0.
fn is_core_module(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0asm\x01\0\0\0")
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let refuse = |source| LoadError::Read {
        path: PathBuf::from(path),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refuse)?;
    file.take(MAX_COMPONENT + 1)
        .read_to_end(&mut bytes)
        .map_err(refuse)?;
    if bytes.len() as u64 > MAX_COMPONENT {
        return Err(LoadError::TooLarge {
            path: path.to_owned(),
            limit: MAX_COMPONENT,
        });
    }
    Ok(bytes)
}
