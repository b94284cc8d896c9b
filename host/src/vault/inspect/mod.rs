//! What `cofferdam doctor` wants to know: facts, without a judgement.
//!
//! [`Inspection`] is Vault as the host's own log-in sees it, [`Reviewer`] as
//! somebody sees it who may read policies, roles and identities, and
//! [`journal`] what is remembered of tokens. Nothing here changes anything but
//! for the log-in and the probes, and those are revoked.

mod inspection;
mod journal;
mod login_role;
mod reviewer;
mod rights;

pub use inspection::{Inspection, LoginFacts, NodeFacts, Probe};
pub use journal::{JournalFacts, LeftBehind, journal};
pub use login_role::{LoginRole, login_role_pattern};
pub use reviewer::{EntityFacts, GroupFacts, LoginRoleFacts, Reviewer, TokenRoleFacts};
pub use rights::Right;

pub use super::journal::Place;
