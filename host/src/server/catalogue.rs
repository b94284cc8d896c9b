//! The tasks that the service has, loaded: grants and components as they stood
//! at one moment.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::api::TaskView;
use crate::diagnostic::with_causes;
use crate::digest::Digest;
use crate::engine::Progress;
use crate::grants::{self, Grants};
use crate::name::TaskName;
use crate::run::{PreparedTask, RunError, Runner};

/// Every task of the grants folder.
#[derive(Default)]
pub(super) struct Catalogue(BTreeMap<TaskName, Task>);

/// One task.
pub(super) struct Task {
    /// Ready to run, or why not.
    pub(super) prepared: Result<PreparedTask, Arc<RunError>>,
    /// What callers may know of it.
    pub(super) view: TaskView,
}

/// A grants file, or a component, that cannot be used.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    /// What is wrong, with the file's name, the place and the cure.
    pub(super) problem: String,
}

/// Compiling is told in the host's own log.
struct Told;

impl Progress for Told {
    fn compiling(&self, path: &Path) {
        tracing::info!(path = %path.display(), "compiling a component");
    }

    fn compiled(&self) {}
}

impl Catalogue {
    /// Reads the grants folder and loads every component. What cannot be used
    /// is in the second part.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub(super) async fn load(runner: &Runner) -> Result<(Self, Vec<Broken>), RunError> {
        let folder = runner.config().grants.clone();
        let files = tokio::task::spawn_blocking(move || grants::load_all(&folder));
        let files = files.await.map_err(|_| RunError::Panic)?;
        let files = files.map_err(|error| RunError::Grants(error.into()))?;
        let (mut tasks, mut broken) = (BTreeMap::new(), Vec::new());
        for file in files {
            let stem = file.path.file_stem().and_then(|stem| stem.to_str());
            let Some(name) = stem.and_then(|stem| stem.parse::<TaskName>().ok()) else {
                // No run can ask for it.
                broken.push(Broken {
                    problem: format!(
                        "`{}` is not named after a task; rename it to `TASK.toml`",
                        file.path.display()
                    ),
                });
                continue;
            };
            let task = match file.grants {
                Ok(grants) => Task::load(runner, &name, Arc::new(grants)).await,
                Err(error) => Task::unusable(&name, None, RunError::Grants(error)),
            };
            if let Err(error) = &task.prepared {
                broken.push(Broken {
                    problem: told(&**error),
                });
            }
            tasks.insert(name, task);
        }
        Ok((Self(tasks), broken))
    }

    /// One task.
    pub(super) fn get(&self, task: &TaskName) -> Option<&Task> {
        self.0.get(task)
    }

    /// All of them, sorted by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TaskName, &Task)> {
        self.0.iter()
    }

    /// The digest of each grants file, by task; for the audit.
    pub(super) fn sources(&self) -> BTreeMap<String, Digest> {
        let prepared = |(name, task): (&TaskName, &Task)| {
            let source = task.prepared.as_ref().ok()?.grants().source;
            Some((name.to_string(), source))
        };
        self.iter().filter_map(prepared).collect()
    }
}

impl Task {
    async fn load(runner: &Runner, name: &TaskName, grants: Arc<Grants>) -> Self {
        match runner
            .prepare_with(Arc::clone(&grants), Arc::new(Told))
            .await
        {
            Ok(prepared) => {
                let root = runner.config().root.clone();
                let known = Arc::clone(&grants);
                let manifest = tokio::task::spawn_blocking(move || grants::manifest(&root, &known));
                let manifest = manifest.await.unwrap_or_default();
                Self {
                    view: TaskView::of(name, Some(&grants), manifest.as_ref()),
                    prepared: Ok(prepared),
                }
            }
            Err(error) => Self::unusable(name, Some(&grants), error),
        }
    }

    fn unusable(name: &TaskName, grants: Option<&Grants>, error: RunError) -> Self {
        let view = TaskView::of(name, grants, None).unusable(error.phase());
        Self {
            prepared: Err(Arc::new(error)),
            view,
        }
    }
}

/// An error with its causes and its cure, on one line.
pub(super) fn told(error: &(dyn crate::diagnostic::Diagnostic + Send + Sync)) -> String {
    let mut text = with_causes(error);
    if let Some(hint) = error.hint() {
        text.push_str("; ");
        text.push_str(&hint);
    }
    text
}
