//! Reading KV secrets.

use std::collections::BTreeMap;

use serde::Deserialize;
use vaultrs::api::{kv1, kv2};

use super::client::Call;
use super::error::Operation;
use super::fields::{Field, SecretFields, plain};
use super::path::KvPath;
use super::{Answer, SessionHandle, VaultError};

/// The fields of one KV secret.
#[derive(Debug, Clone, Default)]
pub struct KvData {
    /// The fields.
    pub fields: SecretFields,
    /// The version that was read (KV 2).
    pub version: Option<u64>,
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
                let (fields, request_id) = self.send(call).await?.data()?;
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
                let (read, request_id) = self.send(call).await?.data::<Version2>()?;
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
