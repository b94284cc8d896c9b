//! The `cofferdam` binary.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use cofferdam::diagnostic::Exit;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tokio::runtime::Builder;

// What is freed is wiped.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<tikv_jemallocator::Jemalloc> =
    zeroizing_alloc::ZeroAlloc(tikv_jemallocator::Jemalloc);

/// How long work that nobody waits for any more may hold up the end of the process: a
/// component that is compiled for a reload that was broken off.
const LEFT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // No core dumps, and no debugger or reader of /proc but root's, not even of
    // our own user's. Where the kernel cannot, file modes are what is left.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = writeln!(
                std::io::stderr(),
                "error: no threads can be started: {error}"
            );
            return ExitCode::from(Exit::Usage.code());
        }
    };
    let exit = runtime.block_on(cofferdam::cli::main());
    runtime.shutdown_timeout(LEFT);
    ExitCode::from(exit.code())
}
