//! The secrets of one attempt: each is read at most once, by one reader at a
//! time, and forgotten when the attempt ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::vault::path::KvPath;
use crate::vault::{KvData, SessionHandle, VaultError};

/// The KV secrets that one attempt has read.
#[derive(Default)]
pub(crate) struct Credentials(Mutex<HashMap<KvPath, Arc<OnceCell<Arc<KvData>>>>>);

/// A secret and, when this call was the one that got it, how.
pub(crate) struct Fetched {
    pub(crate) data: Arc<KvData>,
    /// The id under which Vault audited the read.
    pub(crate) request_id: Option<String>,
    /// True when an earlier attempt had read it.
    pub(crate) is_cached: bool,
}

impl Credentials {
    /// The secret at a path. A failed read is not remembered. What an attempt
    /// of the same kind read no longer than `age` ago will do.
    pub(crate) async fn fetch(
        &self,
        session: &SessionHandle,
        path: &KvPath,
        age: Duration,
    ) -> Result<Fetched, VaultError> {
        let cell = self.0.lock().entry(path.clone()).or_default().clone();
        let (mut request_id, mut is_cached) = (None, false);
        let data = cell
            .get_or_try_init(|| async {
                let read = session.kv_shared(path, age).await?;
                (request_id, is_cached) = (read.request_id, read.is_cached);
                Ok::<_, VaultError>(read.data)
            })
            .await?
            .clone();
        Ok(Fetched {
            data,
            request_id,
            is_cached,
        })
    }

    /// The secret when it has been read already.
    pub(crate) fn known(&self, path: &KvPath) -> Option<Arc<KvData>> {
        self.0.lock().get(path)?.get().cloned()
    }

    /// Drops, and so zeroizes, everything.
    pub(crate) fn forget(&self) {
        self.0.lock().clear();
    }

    /// Puts a secret in place as if it had been read.
    #[cfg(test)]
    pub(crate) fn plant(&self, path: &KvPath, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|(name, value)| {
                let value = crate::secret::Secret::new(value.as_bytes());
                ((*name).to_owned(), value)
            })
            .collect();
        let data = Arc::new(KvData {
            fields,
            ..KvData::default()
        });
        let cell = OnceCell::new_with(Some(data));
        self.0.lock().insert(path.clone(), Arc::new(cell));
    }
}
