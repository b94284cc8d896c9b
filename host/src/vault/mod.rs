//! Vault and OpenBao: one log-in per process, one child token per attempt.

mod admin;
pub mod config;
mod error;
pub mod path;
pub mod policy;
mod session;

pub use admin::Admin;
pub use config::VaultConfig;
pub use error::{VaultError, VaultErrorKind};
pub use session::{Answer, AttemptAuthority, KvData, Revocation, Session, SessionHandle, Vault};
