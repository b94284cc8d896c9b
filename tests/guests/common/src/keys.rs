//! Probes of the capability `keys`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cofferdam_guest::keys::Key;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Base;
use crate::http::refused;

/// One thing to do, chosen by the field `do`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Keys {
    /// Uses a key: `message` is what is signed, hashed or encrypted.
    Keys {
        grant: String,
        op: Operation,
        #[serde(default)]
        message: String,
        #[serde(default)]
        signature: String,
        #[serde(default)]
        ciphertext: String,
        /// How often; the key is opened once.
        #[serde(default = "once")]
        times: u32,
        /// What to do afterwards, in place of returning the answers.
        then: Option<Base>,
    },
}

/// What to do with the key.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Returns `{"value": signature}`.
    Sign,
    /// Returns `{"value": bool}`.
    Verify,
    /// Returns `{"value": digest}`.
    Hmac,
    /// Returns `{"value": ciphertext}`.
    Encrypt,
    /// Returns `{"value": plaintext in base64}`.
    Decrypt,
}

fn once() -> u32 {
    1
}

impl Keys {
    /// Does it. Returns a list with an answer for each time, and what is to be
    /// done next, if anything.
    pub fn run(self) -> (Value, Option<Base>) {
        let Self::Keys {
            grant,
            op,
            message,
            signature,
            ciphertext,
            times,
            then,
        } = self;
        let key = match Key::open(&grant) {
            Ok(key) => key,
            Err(refusal) => return (json!([refused(&refusal)]), then),
        };
        let answers: Vec<Value> = (0..times)
            .map(|_| {
                let answer = match op {
                    Operation::Sign => key.sign(&message).map(Value::from),
                    Operation::Verify => key.verify(&message, &signature).map(Value::from),
                    Operation::Hmac => key.hmac(&message).map(Value::from),
                    Operation::Encrypt => key.encrypt(&message).map(Value::from),
                    Operation::Decrypt => key
                        .decrypt(&ciphertext)
                        .map(|plaintext| STANDARD.encode(plaintext).into()),
                };
                match answer {
                    Ok(value) => json!({"value": value}),
                    Err(refusal) => refused(&refusal),
                }
            })
            .collect();
        (json!(answers), then)
    }
}
