//! A canary and its spellings.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use rand::distr::{Alphanumeric, SampleString};

/// A secret text that appears nowhere by chance. `Debug` does not show it.
#[derive(Clone)]
pub struct Canary {
    text: String,
}

impl Canary {
    /// A new random one: `cnry-`, 32 letters and digits, and characters that
    /// encoders treat differently.
    pub fn random() -> Self {
        let random = Alphanumeric.sample_string(&mut rand::rng(), 32);
        Self {
            text: format!("cnry-{random}~/+=?"),
        }
    }

    /// A given text.
    pub fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
        }
    }

    /// The secret itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every spelling that is searched for, with its name. Case variants of hex
    /// and percent are found by a search that ignores case.
    pub fn forms(&self) -> Vec<(String, Vec<u8>)> {
        let bytes = self.text.as_bytes();
        let spell = |each: &dyn Fn(u8) -> String| -> Vec<u8> {
            bytes
                .iter()
                .map(|byte| each(*byte))
                .collect::<String>()
                .into_bytes()
        };
        let mut forms = vec![
            ("raw".to_owned(), bytes.to_vec()),
            ("reversed".to_owned(), bytes.iter().rev().copied().collect()),
            ("hex".to_owned(), hex::encode(bytes).into_bytes()),
            ("percent".to_owned(), spell(&|byte| format!("%{byte:02x}"))),
            (
                "percent of what is no letter or digit".to_owned(),
                spell(&|byte| {
                    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                        char::from(byte).to_string()
                    } else {
                        format!("%{byte:02x}")
                    }
                }),
            ),
            (
                "json escapes".to_owned(),
                spell(&|byte| format!("\\u{byte:04x}")),
            ),
            (
                "json with escaped slash".to_owned(),
                self.text.replace('/', "\\/").into_bytes(),
            ),
            ("list of bytes".to_owned(), list(bytes, ",")),
            ("debug list of bytes".to_owned(), list(bytes, ", ")),
        ];
        for shift in 0..3 {
            forms.push((
                format!("base64 at offset {shift}"),
                inner_base64(bytes, shift, false),
            ));
            forms.push((
                format!("base64url at offset {shift}"),
                inner_base64(bytes, shift, true),
            ));
        }
        // A secret without special characters is spelled the same in some.
        let mut known = HashSet::new();
        forms.retain(|(_, bytes)| known.insert(bytes.clone()));
        forms
    }
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canary(***)")
    }
}

fn list(bytes: &[u8], separator: &str) -> Vec<u8> {
    let numbers: Vec<String> = bytes.iter().map(u8::to_string).collect();
    numbers.join(separator).into_bytes()
}

/// The characters that are the same whatever stands before (at this offset
/// modulo 3) and after the secret.
fn inner_base64(bytes: &[u8], shift: usize, url_safe: bool) -> Vec<u8> {
    let padded = [vec![0; shift], bytes.to_vec()].concat();
    let whole = padded.len() / 3 * 3;
    let padded = padded.get(..whole).unwrap_or_default();
    let text = match url_safe {
        true => URL_SAFE_NO_PAD.encode(padded),
        false => STANDARD_NO_PAD.encode(padded),
    };
    // The first four characters mix in what stands before.
    let skip = if shift == 0 { 0 } else { 4 };
    text.into_bytes().split_off(skip)
}
