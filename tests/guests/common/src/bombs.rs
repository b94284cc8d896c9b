//! Ways to use up what a host has.

use std::hint::black_box;

/// Loops without a call, so that only the host can end it.
pub(crate) fn spin() -> ! {
    let mut number = 0_u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

/// Allocates and touches memory, a MiB at a time.
pub(crate) fn memory() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(black_box(vec![1_u8; 1 << 20]));
    }
}

/// Recurses with a frame that the optimiser cannot remove.
#[expect(
    unconditional_recursion,
    reason = "the end of the stack is what is asked for"
)]
pub(crate) fn recursion(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    let below = recursion(black_box(depth.wrapping_add(1)));
    below.wrapping_add(black_box(frame).iter().sum())
}

/// The instruction `unreachable`.
pub(crate) fn unreachable() -> ! {
    #[cfg(target_family = "wasm")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_family = "wasm"))]
    std::process::abort();
}

/// A panic, with a message that the host must treat as the guest's words.
#[expect(clippy::panic, reason = "to show what the host does about it")]
pub(crate) fn panic(message: &str) -> ! {
    panic!("{message}");
}
