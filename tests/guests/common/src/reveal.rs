//! Probes of the capability `reveal`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::refused;

/// Where the host cuts a line, in bytes.
const CUT: usize = 8 << 10;

/// One thing to do, chosen by the field `do`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Reveal {
    /// Returns the secret's length and its bytes with every byte inverted, in
    /// base64: the plain secret would be scrubbed on its way out.
    Reveal { grant: String },
    /// Returns and logs the secret itself.
    RevealAndTell { grant: String },
    /// Prints the secret line by line, each after `mark`, to both streams, and once more
    /// over the place where the host cuts a line that is too long. Returns the lines.
    RevealByLines { grant: String, mark: String },
}

impl Reveal {
    /// Does it.
    pub fn run(self) -> Value {
        match self {
            Self::Reveal { grant } => match cofferdam_guest::reveal::reveal(&grant) {
                Ok(secret) => {
                    let inverted: Vec<u8> = secret.iter().map(|byte| !byte).collect();
                    json!({"length": secret.len(), "inverted": STANDARD.encode(inverted)})
                }
                Err(refusal) => refused(&refusal),
            },
            Self::RevealAndTell { grant } => match cofferdam_guest::reveal::reveal(&grant) {
                Ok(secret) => {
                    let text = String::from_utf8_lossy(&secret);
                    log::info!("{text}");
                    println!("{text}");
                    eprintln!("{text}");
                    json!({"value": text})
                }
                Err(refusal) => refused(&refusal),
            },
            Self::RevealByLines { grant, mark } => match cofferdam_guest::reveal::reveal(&grant) {
                Ok(secret) => {
                    let text = String::from_utf8_lossy(&secret);
                    for line in text.lines() {
                        println!("{mark}{line}");
                        eprintln!("{mark}{line}");
                    }
                    println!("{}{text}", "x".repeat(CUT - 20));
                    json!({"lines": text.lines().count()})
                }
                Err(refusal) => refused(&refusal),
            },
        }
    }
}
