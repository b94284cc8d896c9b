//! What Vault's transit engine writes: `vault:v<version>:<base64>`.

/// Longest text that is sent to Vault, in bytes: 1 MiB of plaintext in base64
/// with its frame, rounded up.
const MAX_LEN: usize = 1_500_000;

/// Whether a text has the form of a signature or ciphertext of transit.
pub(super) fn is_vault_form(text: &str) -> bool {
    let Some((version, payload)) = text
        .strip_prefix("vault:v")
        .and_then(|rest| rest.split_once(':'))
    else {
        return false;
    };
    let counted = (1..=9).contains(&version.len())
        && version.bytes().all(|b| b.is_ascii_digit())
        && !version.starts_with('0');
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_');
    let digits = payload.trim_end_matches('=');
    counted
        && text.len() <= MAX_LEN
        && !digits.is_empty()
        && payload.len() - digits.len() <= 2
        && digits.bytes().all(base64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_of_transit_is_sent() {
        for good in ["vault:v1:abcd", "vault:v12:ab+/-_==", "vault:v1:YQ=="] {
            assert!(is_vault_form(good), "{good}");
        }
        for bad in [
            "",
            "vault",
            "vault:v1",
            "vault:v1:",
            "vault:v1:===",
            "vault:v0:abcd",
            "vault:v01:abcd",
            "vault:v:abcd",
            "vault:v-1:abcd",
            "vault:v1:ab cd",
            "vault:v1:ab\n",
            "Vault:v1:abcd",
            "vault:v1:a:b",
            "vault:v1:ab===",
            "vault:v1:a=b",
            "vault:v1:\u{e9}",
            " vault:v1:abcd",
            "vault:v1234567890:abcd",
        ] {
            assert!(!is_vault_form(bad), "{bad:?}");
        }
        assert!(!is_vault_form(&format!("vault:v1:{}", "a".repeat(MAX_LEN))));
    }
}
