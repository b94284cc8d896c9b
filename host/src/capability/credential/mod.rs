//! Where a grant's secret lies, and the secrets that an attempt has read.

mod cache;
mod document;

pub(crate) use cache::{Credentials, Fetched};
pub(crate) use document::{CredentialSource, RawCredential, field_name};
