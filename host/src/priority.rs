//! Work that may take what others leave of the processor.

use rustix::process::setpriority_process;

/// The lowest: a thread with it gets about a seventieth of what a usual one gets
/// when both want the same processor, and has to make way at once when a usual
/// one wakes.
const LOWEST: i32 = 19;

/// How guests that work long, and compiles, stand to the rest of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// Below everything: short attempts beside them do not notice them. Other
    /// processes on the same processors come first too, unless the process has
    /// a share of its own (a systemd unit or a container has).
    Lowest,
    /// As everything else: for a process of one attempt, which has nobody to
    /// make way for and must not starve on a busy machine.
    Usual,
}

impl Background {
    /// Gives the calling thread this priority for ever: going up again needs a
    /// privilege.
    ///
    /// On Linux a thread has a priority of its own, and hands it on to the
    /// threads that it starts.
    pub(crate) fn enter(self) {
        if self == Self::Lowest
            && let Err(error) = setpriority_process(None, LOWEST)
        {
            tracing::warn!(%error, "a thread for background work keeps the usual priority");
        }
    }
}
