//! AWS IAM: a signed `GetCallerIdentity` that Vault sends to AWS's STS, whose
//! answer says who signed it. The credentials never leave this process.

mod connector;
mod credentials;
mod login;
mod sign;

pub(super) use login::log_in;
