//! The header that tells Vault's own audit which run a request belongs to.

use http::{HeaderName, HeaderValue};

/// Sent with every request that is made for an attempt. Vault ignores it; its
/// audit shows it once the operator has declared it (docs/VAULT.md).
pub(super) static RUN: HeaderName = HeaderName::from_static("x-cofferdam-run");

/// The longest id that is sent; a run's has 36 characters.
const MAX: usize = 64;

/// The run on whose behalf Vault is asked. It holds nothing secret. Without one a
/// request is the process's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::vault) struct RunTag(HeaderValue);

impl RunTag {
    /// The tag of this run; none for a text that is no id, such as one that
    /// somebody wrote into the journal.
    pub(in crate::vault) fn new(run: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let is_an_id = (1..=MAX).contains(&run.len()) && run.bytes().all(plain);
        let value = is_an_id.then(|| HeaderValue::from_str(run).ok()).flatten();
        value.map(Self)
    }

    pub(super) fn value(&self) -> HeaderValue {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_is_sent() {
        let run = uuid::Uuid::now_v7().to_string();
        let tag = RunTag::new(&run).expect("an id");
        assert_eq!(tag.value(), run.as_str());
        let long = "a".repeat(65);
        for other in ["", "a b", "a\r\nx-vault-token: b", "é", "a_b", &long] {
            assert_eq!(RunTag::new(other), None, "{other:?}");
        }
    }
}
