//! Work that may take what others leave of the processor.

use rustix::process::setpriority_process;

/// The lowest: a thread with it gets about a seventieth of what a usual one gets
/// when both want the same processor, and has to make way at once when a usual
/// one wakes.
const LOWEST: i32 = 19;

/// Lowers the calling thread for ever: going up again needs a privilege.
///
/// On Linux a thread has a priority of its own, and hands it on to the threads
/// that it starts.
pub(super) fn lower_this_thread() {
    if let Err(error) = setpriority_process(None, LOWEST) {
        tracing::warn!(%error, "a thread for background work keeps the usual priority");
    }
}
