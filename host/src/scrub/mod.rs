//! Keeps secrets out of everything that leaves for the guest or the outside.
//!
//! A [`SecretSet`] knows the secrets that one attempt has in use; a
//! [`Scrubber`] reads one stream and puts [`REDACTED`] where a secret stood, in
//! any of the spellings that standard encoders emit:
//!
//! - as it is; without the white space around it; with its line breaks as `\n`
//!   alone; with spaces as `+`; UTF-8 that was read as Latin-1;
//! - base64 and base64url, padded or not, at each of the three alignments
//!   inside a longer text, line-wrapped or not;
//! - hex in any case, with or without `: - ,` or blanks between the bytes or
//!   `0x` before them, and lists of decimal byte values;
//! - percent-encoding, JSON and C escapes and HTML entities, of all characters
//!   or of some, in either case of their digits;
//! - the escapes upon each other and upon base64 or hex, three layers deep.
//!
//! How: *views* decode the stream (`view.rs`), each with the span of input that
//! a decoded byte came from; in each view three *lanes* (`lane.rs`) step one
//! automaton: the bytes themselves, base64, digits. A match in any of them
//! redacts the span of input. A view sleeps, at no cost, until the character
//! that introduces its escapes comes by.
//!
//! Most texts are short and hold nothing of the kind: a *glance* (`glance.rs`) at
//! how the spellings begin shows that, and the automata are not even built.
//!
//! What matching cannot stop: a server that transforms a secret in a way of its
//! own (reverses, encrypts, spells it out). SECURITY.md says so.

mod control;
mod escape;
mod forms;
mod glance;
mod guest_stream;
mod lane;
mod patterns;
mod scrubber;
mod set;
mod view;

#[cfg(test)]
mod tests;

pub use control::{escape_control, escape_control_lines};
pub use guest_stream::GuestStream;
pub use scrubber::Scrubber;
pub use set::{SecretSet, TooShort};

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";
