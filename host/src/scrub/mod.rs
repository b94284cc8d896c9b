//! Keeps secrets out of everything that leaves for the guest or the outside.

mod scrubber;
mod set;

pub use scrubber::Scrubber;
pub use set::{SecretSet, TooShort};

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// Secrets shorter than this are refused for injection: matching them would
/// confirm guesses and mangle ordinary output.
pub const MIN_SECRET_LEN: usize = 8;

/// Escapes control characters.
pub fn escape_control(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() && c != '\t' {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}
