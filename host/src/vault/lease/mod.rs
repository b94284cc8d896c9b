//! Leased credentials: users, keys and the like that Vault makes for one
//! attempt, keeps alive while it is asked to, and ends.
//!
//! An attempt's token asks for the credential; everything after that is done
//! with the host's own: a lease is named in the attempt's journal record before
//! its credential is used, renewed in the background, and revoked in so many
//! words when the attempt ends. The server would end it with the token too, but
//! at a time of its own.

mod ask;
mod book;
mod id;
mod renewal;
mod state;

pub use ask::{Leased, StaticCredential};
pub(super) use book::LeaseBook;
pub(super) use id::LeaseId;
pub use renewal::LeaseWatcher;
pub use state::LeaseState;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of leases, as numbers: their ids are nobody's business.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseCount {
    /// Vault confirmed that they are dead.
    pub revoked: usize,
    /// They may live; the journal names them.
    pub left: usize,
}
