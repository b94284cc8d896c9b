//! `cofferdam doctor`: whether this host can do its work, and nobody more than
//! that.
//!
//! Everything is looked at in one order ([`Doctor::examine`]), and each look
//! becomes one [`Check`] with an id that never changes. What cannot be known
//! without a reviewer's token reads "not proven", never "ok". Nothing is
//! changed; what is made in Vault on the way (a log-in, and a token for each
//! task) is revoked on every way out.

mod budget;
mod check;
mod credentials;
mod examine;
mod folders;
mod identity;
mod journal;
mod login;
mod login_role;
mod nodes;
mod policies;
mod probes;
mod report;
mod role;
mod server;
mod task_role;
mod tcp;
mod texts;
mod users;
mod width;

pub use check::{Check, CheckId, State};
pub use examine::{Clock, Doctor};
pub use report::{Counts, Report};
