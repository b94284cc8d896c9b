//! Vault and OpenBao: one log-in per process, one child token per attempt.

mod error;
pub mod path;
pub mod policy;
mod session;

pub use error::{VaultError, VaultErrorKind};
pub use session::{
    Answer, AttemptAuthority, KvData, Revocation, Session, SessionHandle, Vault, VaultConfig,
};
