//! Vault and OpenBao: one log-in per process, one child token per attempt.
//!
//! [`Vault`] is the process's view, [`Session`] owns one attempt's authority
//! and [`SessionHandle`] is what capabilities get of it. From bottom to top:
//! `client` speaks HTTP, `auth` logs in, `journal` remembers tokens across a
//! kill, `logins` keeps the process's log-in, `renew` its life and `logout` its
//! end, `mint` (or `identity`, for an attempt that logs in as itself) and `revoke`
//! begin and end an attempt's token, `sweep` ends what was left behind, `kv`,
//! `transit` and `lease` are what an attempt may do, `reads` keeps for a moment
//! what attempts may share, `inspect` gathers what `cofferdam doctor` judges,
//! `stats` counts. No
//! token and no lease id leaves this module.

mod accessor;
pub mod admin;
mod auth;
pub mod browser;
mod client;
pub mod config;
mod error;
mod fields;
mod handle;
pub mod identity;
pub mod inspect;
mod journal;
mod kv;
mod lease;
mod logins;
mod logout;
mod mint;
mod openings;
pub mod path;
pub mod policy;
mod reads;
mod renew;
mod revoke;
mod schedule;
mod seconds;
mod session;
mod shared;
mod stats;
mod sweep;
mod transit;
mod turns;

pub use admin::Admin;
pub use client::{CertificateFault, Health, NodeHealth, ServerCertificate};
pub use config::VaultConfig;
pub use error::{ConnectionFault, Operation, VaultError, VaultErrorKind};
pub use fields::SecretFields;
pub use handle::{Answer, SessionHandle};
pub use journal::{AuthorityKind, JournalError};
pub use kv::KvData;
pub use lease::{LeaseCount, LeaseState, LeaseWatcher, Leased, StaticCredential};
pub use mint::attempt_life;
pub use openings::Opening;
pub use reads::{Circle, KvRead};
pub use session::{
    AttemptAuthority, LeaseEnd, Revocation, Session, SessionKind, Vault, VaultIdentity,
};
pub use stats::{LogInStats, NodeStats, RequestOutcome, RequestStats, Stats};
pub use sweep::{SweepOutcome, SweepReport, Swept};
