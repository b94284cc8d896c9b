//! The signature.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningSettings, sign as sign_request,
};
use aws_sigv4::sign::v4;

use crate::vault::config::AwsConfig;

/// What STS is asked. Vault takes no other question.
pub(super) const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// Names the Vault that the signature is for.
const SERVER_ID: &str = "X-Vault-AWS-IAM-Server-ID";

/// The headers of the request, the signature with its date among them. AWS
/// takes it for 15 minutes around that date. None for what cannot be signed, such
/// as a key identifier with control characters.
pub(super) fn sign(
    config: &AwsConfig,
    credentials: &Credentials,
    now: SystemTime,
) -> Option<BTreeMap<String, Vec<String>>> {
    let host = config.sts_endpoint.host();
    let given = [
        ("Host", host.as_str()),
        (
            "Content-Type",
            "application/x-www-form-urlencoded; charset=utf-8",
        ),
        (SERVER_ID, config.server_id_header.as_str()),
    ];
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(config.region.as_str())
        .name("sts")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .ok()?
        .into();
    let request = SignableRequest::new(
        "POST",
        config.sts_endpoint.as_str(),
        given.into_iter(),
        SignableBody::Bytes(BODY.as_bytes()),
    )
    .ok()?;
    let (instructions, _) = sign_request(request, &params).ok()?.into_parts();
    let all = given.into_iter().chain(instructions.headers());
    Some(
        all.map(|(name, value)| (name.to_owned(), vec![value.to_owned()]))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config(lines: &str) -> AwsConfig {
        let text = format!(
            "address = \"http://127.0.0.1:1\"\n[auth.aws]\nrole = \"r\"\nregion = \"us-east-1\"\n{lines}"
        );
        let config: crate::vault::VaultConfig = toml::from_str(&text).expect("fine");
        match config.auth {
            crate::vault::config::AuthConfig::Aws(config) => config,
            other => panic!("{other:?}"),
        }
    }

    fn signed(lines: &str, secret: &str, token: Option<&str>) -> BTreeMap<String, Vec<String>> {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            secret,
            token.map(ToOwned::to_owned),
            None,
            "test",
        );
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        sign(&config(lines), &credentials, then).expect("signed")
    }

    const VAULT: &str = "server_id_header = \"vault.example.com\"";

    #[test]
    fn the_server_id_and_the_token_are_part_of_what_is_signed() {
        let headers = signed(VAULT, "secret-key-0123", Some("session-token"));
        assert_eq!(headers["Host"], ["sts.us-east-1.amazonaws.com"]);
        assert_eq!(headers[SERVER_ID], ["vault.example.com"]);
        assert_eq!(headers["x-amz-date"], ["20150830T123600Z"]);
        assert_eq!(headers["x-amz-security-token"], ["session-token"]);
        let authorization = &headers["authorization"][0];
        assert!(
            authorization
                .starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/sts/"),
            "{authorization}"
        );
        assert!(
            authorization.contains(
                "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-vault-aws-iam-server-id,"
            ),
            "{authorization}"
        );
        assert!(!authorization.contains("secret-key"));
    }

    #[test]
    fn whatever_changes_changes_the_signature() {
        let of = |headers: BTreeMap<String, Vec<String>>| headers["authorization"].clone();
        let usual = of(signed(VAULT, "secret-key-0123", None));
        for other in [
            signed(
                "server_id_header = \"other.example.com\"",
                "secret-key-0123",
                None,
            ),
            signed(VAULT, "secret-key-0124", None),
            signed(
                &format!("{VAULT}\nsts_endpoint = \"https://sts.example.com\""),
                "secret-key-0123",
                None,
            ),
        ] {
            assert_ne!(of(other), usual);
        }
        assert_eq!(of(signed(VAULT, "secret-key-0123", None)), usual);
    }
}
