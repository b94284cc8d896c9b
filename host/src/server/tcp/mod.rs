//! What `[server.tcp]` names, read and ready: the service's certificate, and how
//! it tells its callers apart. A reload makes a new one of all files or keeps
//! the old one.

mod error;
mod files;
mod names;
mod tls;

use std::sync::Arc;

use jiff::Timestamp;

use super::token::Tokens;
use crate::config::TcpConfig;

pub use error::TcpError;
pub(super) use tls::{Shown, Tls};

/// One state of `[server.tcp]`.
pub(super) struct Tcp {
    config: TcpConfig,
    /// The service's certificate, and whose certificates callers may show.
    pub(super) tls: Arc<Tls>,
    /// Whose tokens are taken; none when none is.
    pub(super) tokens: Option<Arc<Tokens>>,
}

impl Tcp {
    /// Reads every file, and fetches the key set. With a state before this one,
    /// a key set that cannot be fetched now stays as it is: the issuer's bad day
    /// is no reason not to take what the operator changed.
    ///
    /// # Errors
    /// [`TcpError`] names field, file and cure.
    pub(super) async fn load(config: &TcpConfig, before: Option<&Self>) -> Result<Self, TcpError> {
        let tls = Tls::load(config)?;
        if tls.validity.1 < Timestamp::now() {
            // No caller will like it, but those on the socket need not care.
            tracing::warn!("the certificate in `server.tcp.certificate` has expired");
        }
        let tokens = match &config.jwt {
            None => None,
            Some(jwt) => {
                let before = before.filter(|before| before.config.jwt.as_ref() == Some(jwt));
                let before = before.and_then(|before| before.tokens.as_deref());
                Some(Arc::new(Tokens::load(jwt, before).await?))
            }
        };
        Ok(Self {
            config: config.clone(),
            tls: Arc::new(tls),
            tokens,
        })
    }
}

/// Reads the files of certificates as the service would: from when to when its
/// own is good.
///
/// # Errors
/// What the service would not start with.
pub(crate) fn validity(config: &TcpConfig) -> Result<(Timestamp, Timestamp), TcpError> {
    Tls::load(config).map(|tls| tls.validity)
}
