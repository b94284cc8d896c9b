//! The clock that interrupts running guests, at even times and when they are to make way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::LoadError;
use crate::priority::{sleep_exactly, turns_are_taken, until_asked};

/// How often a running guest is interrupted so that its neighbours get their
/// turn. It is what one guest can delay another at once.
const TICK: Duration = Duration::from_millis(1);

/// The same while guests of the lowest priority have the processor. The kernel may hand it
/// to a thread that wakes only when they next enter it, as a tick makes them do: EEVDF
/// (since Linux 6.6) lets whoever has it go on while the other is not "eligible", and that
/// is looked at again only then, or at its own tick, every 4 ms by a clock of 250 Hz.
const SHORT_TICK: Duration = Duration::from_micros(250);

/// The same while no guest does anything: waking up for nobody costs power, and
/// time of whoever shares the processor.
const IDLE_TICK: Duration = Duration::from_millis(5);

/// So many ticks without a turn of any guest are idleness.
const IDLE_AFTER: u32 = 20;

/// Counts the turns of all guests, so that the clock knows whether there are any.
#[derive(Default)]
pub(super) struct Activity(AtomicU64);

impl Activity {
    /// A guest gets a turn.
    pub(super) fn note(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether any guest ever had a turn.
    pub(super) fn was_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Starts the thread that moves the epoch on; it ends with the engine.
///
/// # Errors
/// When the system has no thread.
pub(super) fn start(engine: &wasmtime::Engine) -> Result<Arc<Activity>, LoadError> {
    let engine = engine.weak();
    let activity = Arc::new(Activity::default());
    let seen = Arc::clone(&activity);
    let ticker = move || {
        sleep_exactly();
        let (mut last, mut idle) = (0, 0_u32);
        let (mut asked, mut begun) = (0, 0);
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            let turns = seen.0.load(Ordering::Relaxed);
            // A long turn of the lane is no idleness.
            let is_taken = turns_are_taken(&mut begun);
            idle = if turns == last && !is_taken {
                idle.saturating_add(1)
            } else {
                0
            };
            last = turns;
            let pause = match idle < IDLE_AFTER {
                _ if is_taken => SHORT_TICK,
                true => TICK,
                false => IDLE_TICK,
            };
            until_asked(&mut asked, pause);
        }
    };
    thread::Builder::new()
        .name("epoch".to_owned())
        .spawn(ticker)
        .map_err(|error| LoadError::Engine(error.into()))?;
    Ok(activity)
}
