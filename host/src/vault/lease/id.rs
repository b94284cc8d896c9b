//! What names a lease.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest id that is taken: the longest path, a name and a namespace.
const MAX_LEN: usize = 640;

/// A lease's id. Whoever holds it and a log-in can end or prolong the lease, so
/// it appears in the journal only, as accessors do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::vault) struct LeaseId(String);

impl LeaseId {
    /// The text, for the body of a request.
    pub(in crate::vault) fn expose(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LeaseId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let fits = (1..=MAX_LEN).contains(&text.len());
        if fits && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            Err("a lease id is 1 to 640 visible ASCII characters")
        }
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseId(***)")
    }
}
