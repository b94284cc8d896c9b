//! The `cofferdam` binary.

use std::process::ExitCode;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

// What is freed is wiped.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<tikv_jemallocator::Jemalloc> =
    zeroizing_alloc::ZeroAlloc(tikv_jemallocator::Jemalloc);

#[tokio::main]
async fn main() -> ExitCode {
    // No core dumps, and no debugger or reader of /proc but root's, not even of
    // our own user's. Where the kernel cannot, file modes are what is left.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    ExitCode::from(cofferdam::cli::main().await.code())
}
