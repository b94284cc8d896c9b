//! How this host proves who it is: one file per log-in method, one enum over
//! them. A method answers with a [`Login`] and knows nothing of attempts.

mod answer;
mod approle;
mod aws;
mod cert;
mod jwt;
mod lent;
mod login;
mod method;
mod password;

pub(super) use answer::Asked;
pub(super) use login::{Login, Owner};
pub(super) use method::Method;
