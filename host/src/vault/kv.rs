//! Reading KV secrets.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use vaultrs::api::{kv1, kv2};

use super::client::Call;
use super::error::Operation;
use super::path::KvPath;
use super::{Answer, SessionHandle, VaultError};
use crate::secret::Secret;

/// The fields of one KV secret.
#[derive(Debug, Clone, Default)]
pub struct KvData {
    /// Text fields as they are; other JSON values in their JSON form.
    pub fields: BTreeMap<String, Secret>,
    /// The version that was read (KV 2).
    pub version: Option<u64>,
}

/// One field: a text as it is, else its JSON form.
struct Field(Secret);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(text) => Secret::new(text),
            other => Secret::new(other.to_string()),
        }))
    }
}

#[derive(Deserialize)]
struct Version2 {
    data: Option<BTreeMap<String, Field>>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
}

impl SessionHandle {
    /// Reads a KV secret. A deleted version counts as not there.
    pub async fn kv(&self, path: &KvPath) -> Result<Answer<KvData>, VaultError> {
        match path {
            KvPath::V1 { mount, path } => {
                let call = Call::endpoint(
                    Operation::Read,
                    &kv1::requests::GetSecretRequest {
                        mount: mount.to_string(),
                        path: path.to_string(),
                    },
                )?;
                let (fields, request_id) = self.send(&call).await?.data()?;
                Ok(Answer {
                    value: KvData {
                        fields: plain(fields),
                        version: None,
                    },
                    request_id,
                })
            }
            KvPath::V2 {
                mount,
                path: secret,
                version,
            } => {
                let call = Call::endpoint(
                    Operation::Read,
                    &kv2::requests::ReadSecretRequest {
                        mount: mount.to_string(),
                        path: secret.to_string(),
                        version: *version,
                    },
                )?;
                let (read, request_id) = self.send(&call).await?.data::<Version2>()?;
                let Some(fields) = read.data else {
                    return Err(VaultError::NotFound {
                        path: path.api_path(),
                    });
                };
                Ok(Answer {
                    value: KvData {
                        fields: plain(fields),
                        version: Some(read.metadata.version),
                    },
                    request_id,
                })
            }
        }
    }
}

fn plain(fields: BTreeMap<String, Field>) -> BTreeMap<String, Secret> {
    fields
        .into_iter()
        .map(|(name, Field(secret))| (name, secret))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_text_or_json() {
        let fields: BTreeMap<String, Field> =
            serde_json::from_str(r#"{"t":"a\"b","n":12,"o":{"k":[true,null]}}"#).expect("fine");
        let fields = plain(fields);
        let shown: Vec<_> = fields.values().filter_map(Secret::expose_str).collect();
        assert_eq!(shown, ["12", "{\"k\":[true,null]}", "a\"b"]);
    }
}
