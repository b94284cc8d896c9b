//! How this host proves who it is: one file per log-in method, one enum over
//! them. A method answers with a [`Login`] and knows nothing of attempts.

mod answer;
mod approle;
mod cert;
mod jwt;
mod login;
mod method;
mod password;
mod token_file;

pub(super) use login::{Login, Owner};
pub(super) use method::Method;
