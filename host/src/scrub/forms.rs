//! The spellings of a secret that the automata look for. What is only escaped
//! needs no spelling of its own: the views decode it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::escape::{Escapes, Parsed, parse};
use crate::secret::{MIN_SECRET_LEN, Secret};

/// Bytes that spell a secret.
pub(super) type Spelling = Zeroizing<Vec<u8>>;

/// Layers of escapes that are looked through.
pub(super) const LAYERS: usize = 3;

/// The secret as it is, and as it is when a program reads it by lines or trims it.
fn wordings(secret: &Secret) -> Vec<Spelling> {
    let bytes = secret.expose();
    let mut wordings: Vec<Spelling> = vec![bytes.to_vec().into()];
    let mut unix = Zeroizing::new(Vec::with_capacity(bytes.len()));
    for (at, byte) in bytes.iter().enumerate() {
        if *byte != b'\r' || bytes.get(at + 1) != Some(&b'\n') {
            unix.push(*byte);
        }
    }
    for text in [bytes, &unix] {
        for wording in [text, text.trim_ascii()] {
            if wording.len() >= MIN_SECRET_LEN {
                add(&mut wordings, wording.to_vec().into());
            }
        }
    }
    wordings
}

/// The secret and what common mistakes make of it.
pub(super) fn plain(secret: &Secret) -> Vec<Spelling> {
    let mut forms = Vec::new();
    for wording in wordings(secret) {
        for form in mistaken(&wording) {
            add(&mut forms, form);
        }
    }
    forms
}

fn mistaken(bytes: &[u8]) -> Vec<Spelling> {
    let mut forms: Vec<Spelling> = vec![bytes.to_vec().into()];
    if bytes.contains(&b' ') {
        // Form encoding; the percent view undoes the rest of it.
        let plus = bytes.iter().map(|b| if *b == b' ' { b'+' } else { *b });
        add(&mut forms, plus.collect::<Vec<_>>().into());
    }
    if !bytes.is_ascii() {
        // Many servers read headers as Latin-1 and write them as UTF-8.
        let mut latin1 = Zeroizing::new(Vec::with_capacity(bytes.len() * 2));
        for b in bytes {
            let mut utf8 = [0; 4];
            latin1.extend_from_slice(char::from(*b).encode_utf8(&mut utf8).as_bytes());
        }
        add(&mut forms, latin1);
    }
    // A secret that holds what reads as an escape comes out of a view changed.
    for escapes in [
        Escapes::Any,
        Escapes::Percent,
        Escapes::Backslash,
        Escapes::Entity,
    ] {
        let mut form: Spelling = bytes.to_vec().into();
        for _ in 0..LAYERS {
            form = decode(escapes, &form);
            if form.len() < MIN_SECRET_LEN || !add(&mut forms, form.clone()) {
                break;
            }
        }
    }
    forms
}

/// The characters of base64 that the secret alone determines, for each place
/// that it can have in a group of three bytes.
pub(super) fn base64(secret: &Secret) -> Vec<Spelling> {
    let mut forms = Vec::with_capacity(3);
    for bytes in wordings(secret).into_iter().chain(json(secret)) {
        for before in 0..3 {
            add(&mut forms, base64_after(before, &bytes));
        }
    }
    forms
}

fn base64_after(before: usize, bytes: &Spelling) -> Spelling {
    let mut padded = Zeroizing::new(vec![0; before]);
    padded.extend_from_slice(bytes);
    let text = Zeroizing::new(STANDARD_NO_PAD.encode(padded.as_slice()));
    // Six bits a character: the first one that starts inside the secret, and
    // as many as end inside it.
    let from = (before * 8).div_ceil(6);
    let to = padded.len() * 8 / 6;
    let inner = text.as_bytes().get(from..to).unwrap_or_default();
    inner.to_vec().into()
}

/// The secret inside a JSON string, if that differs: documents are put into
/// base64 as a whole.
fn json(secret: &Secret) -> Option<Spelling> {
    let text = secret.expose_str()?;
    let mut quoted = Zeroizing::new(Vec::with_capacity(text.len() * 2 + 2));
    serde_json::to_writer(&mut *quoted, text).ok()?;
    let inner = quoted.get(1..quoted.len().saturating_sub(1))?;
    (inner != text.as_bytes()).then(|| inner.to_vec().into())
}

/// Hex, hex with `0x` before each byte, and decimal byte values; all in lower
/// case and without separators, as the lane presents them.
pub(super) fn digits(secret: &Secret) -> Vec<Spelling> {
    let mut forms = Vec::new();
    for wording in wordings(secret) {
        for form in digits_of(&wording) {
            add(&mut forms, form);
        }
    }
    forms
}

fn digits_of(bytes: &[u8]) -> Vec<Spelling> {
    let hex = Zeroizing::new(hex::encode(bytes));
    let mut prefixed = Zeroizing::new(Vec::with_capacity(bytes.len() * 4));
    let mut decimal = Zeroizing::new(Vec::with_capacity(bytes.len() * 3));
    for (byte, pair) in bytes.iter().zip(hex.as_bytes().chunks(2)) {
        prefixed.extend_from_slice(b"0x");
        prefixed.extend_from_slice(pair);
        decimal.extend_from_slice(itoa::Buffer::new().format(*byte).as_bytes());
    }
    let mut forms: Vec<Spelling> = vec![hex.as_bytes().to_vec().into(), prefixed];
    // Values below 10 make a number that ordinary text may hold.
    if decimal.len() >= 2 * bytes.len() {
        add(&mut forms, decimal);
    }
    forms
}

/// Everything that these escapes spell, decoded once.
fn decode(escapes: Escapes, bytes: &[u8]) -> Spelling {
    let mut plain = Zeroizing::new(Vec::with_capacity(bytes.len()));
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        if let Parsed::Escape { consumed, decoded } = parse(escapes, rest, true) {
            plain.extend_from_slice(decoded.as_bytes());
            rest = rest.get(consumed..).unwrap_or_default();
        } else {
            plain.push(*first);
            rest = after;
        }
    }
    plain
}

/// Adds a form unless it is there; says whether it was new.
fn add(forms: &mut Vec<Spelling>, form: Spelling) -> bool {
    let new = !form.is_empty() && !forms.contains(&form);
    if new {
        forms.push(form);
    }
    new
}
