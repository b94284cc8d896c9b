//! How this host proves who it is: one file per log-in method, one enum over
//! them. A method answers with a [`Login`] and knows nothing of attempts.

mod approle;
mod login;
mod method;
mod token_file;

pub(super) use login::{Login, Owner};
pub(super) use method::Method;
