//! What a log-in gives.

use std::time::Instant;

use crate::secret::Secret;
use crate::vault::accessor::Accessor;

/// A host token, as a log-in method obtained it.
pub(in crate::vault) struct Login {
    /// The token.
    pub(in crate::vault) token: Secret,
    /// Whose it is.
    pub(in crate::vault) owner: Owner,
    /// When it ends, measured from before the request that made it; `None`
    /// for one that does not.
    pub(in crate::vault) ends: Option<Instant>,
    /// Whether its end can be put off.
    pub(in crate::vault) renewable: bool,
    /// Other secrets that obtained it, for the scrubber.
    pub(in crate::vault) obtained_by: Vec<Secret>,
}

/// Who may end a host token.
pub(in crate::vault) enum Owner {
    /// This process made it: it is journalled, and revoked at the end.
    Process(Accessor),
    /// Somebody lent it: it is neither.
    Lender,
}
