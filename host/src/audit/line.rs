//! What a line is made of, byte by byte.
//!
//! ```text
//! {"v":1,"seq":7,"time":"…","run":"…","event":"…",…,"prev":"<64 hex>","hash":"<64 hex>"}
//! ```
//!
//! `hash` is SHA-256 over the bytes of the line before `,"hash":`; `prev` is
//! the `hash` of the line before, 64 zeros in the first. So a verifier needs no
//! canonical JSON: it hashes what stands there.

use std::io::Write as _;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::AuditError;
use super::head::Head;

/// Version of the format, the member `v`.
pub(super) const VERSION: u32 = 1;

/// A longer line is neither written nor read, in bytes.
pub(super) const MAX_LINE: usize = 1 << 20;

/// The hex digits of a hash.
pub(super) type Hash = [u8; 64];

/// `prev` of the first line.
pub(super) const NO_HASH: Hash = [b'0'; 64];

/// The members that every line has: five before those of its event, two after.
pub(super) const MEMBERS: [&str; 7] = ["v", "seq", "time", "run", "event", "prev", "hash"];

const PREV: &[u8] = b",\"prev\":\"";
const HASH: &[u8] = b"\",\"hash\":\"";
const END: &[u8] = b"\"}";

/// Appends one line, with its line break, to the buffer; its hash.
///
/// # Errors
/// When it grows over [`MAX_LINE`] or cannot be written as JSON; the buffer is as before then.
pub(super) fn write<E: Serialize>(
    buffer: &mut Vec<u8>,
    sequence: u64,
    run: Option<&str>,
    event: &E,
    prev: &Hash,
) -> Result<Hash, AuditError> {
    let start = buffer.len();
    // Writing into a Vec cannot fail, nor can these plain types be refused as
    // JSON; a line that came out wrong for another reason fails its length.
    let now = jiff::Timestamp::now();
    let _ = write!(
        buffer,
        "{{\"v\":{VERSION},\"seq\":{sequence},\"time\":\"{now:.6}\",\"run\":"
    );
    let _ = serde_json::to_writer(&mut *buffer, &run);
    // The event is an object of its own: its braces make way.
    let open = buffer.len();
    if serde_json::to_writer(&mut *buffer, event).is_err() {
        buffer.truncate(start);
        return Err(AuditError::NotJson);
    }
    if let Some(brace) = buffer.get_mut(open) {
        *brace = b',';
    }
    buffer.pop();
    buffer.extend_from_slice(PREV);
    buffer.extend_from_slice(prev);
    let hash = hash_of(buffer.get(start..).unwrap_or_default(), b"\"");
    buffer.extend_from_slice(HASH);
    buffer.extend_from_slice(&hash);
    buffer.extend_from_slice(END);
    buffer.push(b'\n');
    let len = buffer.len() - start;
    if len > MAX_LINE {
        buffer.truncate(start);
        return Err(AuditError::TooLong { len });
    }
    Ok(hash)
}

/// A line that was read, without its line break.
pub(super) struct Line<'a> {
    /// The members that every line has.
    pub(super) head: Head<'a>,
    /// `prev`, as it stands there.
    pub(super) prev: &'a Hash,
    /// `hash`, as it stands there.
    pub(super) hash: &'a Hash,
    /// The hash of the bytes that stand there.
    pub(super) computed: Hash,
}

impl<'a> Line<'a> {
    /// Reads a line; none when it is not one of ours.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (rest, hash) = bytes.strip_suffix(END)?.split_last_chunk::<64>()?;
        let (rest, prev) = rest.strip_suffix(HASH)?.split_last_chunk::<64>()?;
        rest.strip_suffix(PREV)?;
        let head = Head::read(bytes)?;
        if head.v != VERSION || !is_hex(hash) || !is_hex(prev) {
            return None;
        }
        let hashed = bytes.get(..bytes.len() - END.len() - 64 - HASH.len())?;
        Some(Self {
            head,
            prev,
            hash,
            computed: hash_of(hashed, b"\""),
        })
    }
}

/// Whether these are lower-case hex digits. All are looked at, for then many are
/// looked at together.
fn is_hex(text: &Hash) -> bool {
    text.iter().fold(true, |so_far, digit| {
        so_far & matches!(digit, b'0'..=b'9' | b'a'..=b'f')
    })
}

/// Hash of the line up to `,"hash":`; `tail` is the quote that closes `prev`.
fn hash_of(bytes: &[u8], tail: &[u8]) -> Hash {
    let mut digits = NO_HASH;
    let digest = Sha256::new()
        .chain_update(bytes)
        .chain_update(tail)
        .finalize();
    // 32 bytes fill 64 digits exactly.
    let _ = hex::encode_to_slice(digest, &mut digits);
    digits
}
