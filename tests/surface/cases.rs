//! The table: which run shows which functions.

use serde_json::Value;

/// One run and the functions that it shows.
pub(super) struct Case {
    pub(super) functions: &'static [&'static str],
    pub(super) task: &'static str,
    /// JSON.
    pub(super) input: &'static str,
    /// Whether the functions really answered.
    pub(super) answered: fn(&Value) -> bool,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} by {}", self.functions, self.input)
    }
}

fn denied(result: &Value, kind: &str) -> bool {
    result[0]["error"] == "denied" && result[0]["kind"] == kind
}

fn vault_form(result: &Value) -> bool {
    result[0]["value"]
        .as_str()
        .is_some_and(|text| text.starts_with("vault:v1:"))
}

pub(super) const CASES: &[Case] = &[
    Case {
        functions: &[
            "http#open",
            "http#[method]client.send",
            "http#[method]response.status",
            "http#[method]response.headers",
            "http#[method]response.read",
        ],
        task: "http",
        input: r#"{"do": "http", "grant": "api", "path": "reflect/raw"}"#,
        answered: |result| {
            result[0]["status"] == 200
                && result[0]["text"]
                    .as_str()
                    .is_some_and(|text| text.contains("authorization: [redacted]"))
        },
    },
    Case {
        functions: &["http#[method]response.headers"],
        task: "http",
        input: r#"{"do": "http", "grant": "api", "path": "reflect-header/raw"}"#,
        answered: |result| result[0]["headers"].to_string().contains("[redacted]"),
    },
    Case {
        functions: &["http#open"],
        task: "http",
        input: r#"{"do": "http", "grant": "other", "path": "x"}"#,
        answered: |result| denied(result, "not-granted"),
    },
    Case {
        functions: &["http#[method]client.send"],
        task: "http",
        input: r#"{"do": "http", "grant": "api", "method": "DELETE", "path": "x"}"#,
        answered: |result| denied(result, "out-of-scope"),
    },
    Case {
        functions: &["http#[method]response.read"],
        task: "http",
        input: r#"{"do": "http", "grant": "api", "path": "short"}"#,
        answered: |result| result[0]["read_error"]["error"] == "transport",
    },
    Case {
        functions: &["keys#open"],
        task: "sign",
        input: r#"{"do": "keys", "grant": "other", "op": "sign"}"#,
        answered: |result| denied(result, "not-granted"),
    },
    Case {
        functions: &["keys#open", "keys#[method]key.sign"],
        task: "sign",
        input: r#"{"do": "keys", "grant": "signer", "op": "sign", "message": "m"}"#,
        answered: vault_form,
    },
    Case {
        functions: &["keys#[method]key.verify"],
        task: "sign",
        input: r#"{"do": "keys", "grant": "signer", "op": "verify", "message": "m", "signature": "vault:v1:AAAA"}"#,
        answered: |result| result[0]["value"] == false || denied(result, "invalid-argument"),
    },
    Case {
        functions: &["keys#[method]key.hmac"],
        task: "box",
        input: r#"{"do": "keys", "grant": "signer", "op": "hmac", "message": "m"}"#,
        answered: vault_form,
    },
    Case {
        functions: &["keys#[method]key.encrypt"],
        task: "box",
        input: r#"{"do": "keys", "grant": "signer", "op": "encrypt", "message": "m"}"#,
        answered: vault_form,
    },
    Case {
        functions: &["keys#[method]key.decrypt"],
        task: "box",
        input: r#"{"do": "keys", "grant": "signer", "op": "decrypt", "ciphertext": "vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
        answered: |result| denied(result, "invalid-argument"),
    },
    Case {
        functions: &[
            "context#current",
            "context#remaining-ms",
            "control#cancelled",
        ],
        task: "http",
        input: r#"{"do": "context"}"#,
        answered: |result| result["dag_id"] == "tests" && result["cancelled"] == false,
    },
    Case {
        functions: &["control#heartbeat"],
        task: "http",
        input: r#"{"do": "heartbeat", "every_ms": 1, "times": 2}"#,
        answered: Value::is_null,
    },
    Case {
        functions: &["log#write"],
        task: "http",
        input: r#"{"do": "log", "level": "info", "text": "hello"}"#,
        answered: Value::is_null,
    },
    Case {
        // What the host passes in: the input, and neither arguments nor environment.
        functions: &["task#run"],
        task: "http",
        input: r#"{"do": "env"}"#,
        answered: |result| result["vars"].as_array().is_some_and(Vec::is_empty),
    },
];
