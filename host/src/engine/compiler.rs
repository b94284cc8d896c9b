//! Compiling: one component at a time, and never at the cost of running guests.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use wasmtime::component::Component;

use super::LoadedTask;
use super::setup::Progress;
use super::ticker::Activity;
use crate::digest::Digest;
use crate::lock::Mutex;
use crate::priority::Background;

/// What is loaded, by digest. Who wants a component that is being loaded waits
/// for it; components that differ are loaded side by side.
#[derive(Default)]
pub(super) struct Loaded(Mutex<HashMap<Digest, Slot>>);

/// Empty until it was loaded once.
type Slot = Arc<Mutex<Option<LoadedTask>>>;

impl Loaded {
    /// The component with this digest, loaded now if it was not before. A
    /// failure is not kept: the next one tries again.
    pub(super) fn get_or_load<E>(
        &self,
        digest: Digest,
        load: impl FnOnce() -> Result<LoadedTask, E>,
    ) -> Result<LoadedTask, E> {
        let slot = Arc::clone(self.0.lock().entry(digest).or_default());
        let mut slot = slot.lock();
        if let Some(task) = &*slot {
            return Ok(task.clone());
        }
        let task = load()?;
        *slot = Some(task.clone());
        Ok(task)
    }

    /// Forgets what nobody holds any more; who wants it again loads it again.
    pub(super) fn forget_unused(&self) {
        self.0.lock().retain(|_, slot| {
            // A second holder of the slot loads it now, or is about to take what is in it. As
            // long as the table is locked there is no new one, so this does not wait.
            Arc::strong_count(slot) > 1 || slot.lock().as_ref().is_some_and(LoadedTask::is_shared)
        });
    }
}

/// Compiles one component after the other.
pub(super) struct Compiler {
    turn: Mutex<()>,
    background: Background,
    activity: Arc<Activity>,
}

impl Compiler {
    pub(super) fn new(background: Background, activity: Arc<Activity>) -> Self {
        Self {
            turn: Mutex::default(),
            background,
            activity,
        }
    }

    /// Before the first guest there is nobody to make way for, and a service that
    /// starts on a busy machine must not starve.
    fn priority(&self) -> Background {
        if self.activity.was_any() {
            self.background
        } else {
            Background::Usual
        }
    }

    /// Compiles these bytes; blocks until its turn has come and it is done.
    /// `progress` is told of both ends within the turn, so that it never hears
    /// of two at once.
    pub(super) fn compile(
        &self,
        engine: &wasmtime::Engine,
        bytes: &[u8],
        path: &Path,
        progress: &dyn Progress,
    ) -> wasmtime::Result<Component> {
        let _turn = self.turn.lock();
        progress.compiling(path);
        let component = self.compile_in_turn(engine, bytes);
        progress.compiled();
        component
    }

    /// wasmtime compiles functions in parallel on the pool of the thread that
    /// asks. It gets one of its own, which lives as long as the compile: where its
    /// priority is low, an idle machine loses nothing, and on a busy one the guests
    /// come first.
    fn compile_in_turn(
        &self,
        engine: &wasmtime::Engine,
        bytes: &[u8],
    ) -> wasmtime::Result<Component> {
        let priority = self.priority();
        let pool = rayon::ThreadPoolBuilder::new()
            .thread_name(|number| format!("compile-{number}"))
            .start_handler(move |_| priority.enter())
            .build();
        match pool {
            Ok(pool) => pool.install(|| Component::from_binary(engine, bytes)),
            // No threads left: slower and less polite, but done.
            Err(error) => {
                tracing::warn!(%error, "compiling without threads of its own");
                Component::from_binary(engine, bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compile_makes_way_for_guests_once_there_are_any() {
        let activity = Arc::<Activity>::default();
        let compiler = Compiler::new(Background::Lowest, Arc::clone(&activity));
        assert_eq!(compiler.priority(), Background::Usual);
        activity.note();
        assert_eq!(compiler.priority(), Background::Lowest);
    }
}
