//! Where a grant's credential comes from, and the credentials that an attempt
//! has.

mod document;
mod doubt;
mod lookout;
mod slot;
mod source;
mod store;

pub(crate) use document::{GrantedCredential, RawCredential, field_name};
pub(crate) use slot::Current;
pub use source::{CredentialSource, Refresh};
pub(crate) use store::Credentials;
