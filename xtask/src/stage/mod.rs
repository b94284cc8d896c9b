//! A whole installation in a working folder: a provisioned OpenBao, the
//! PostgreSQL, the API, the example tasks built and granted, a `cofferdam.toml`.
//! The demo plays on it, and `dev-vault` keeps it standing.

mod api;
mod grants;
mod service;
mod set;
mod users;

pub(crate) use api::BillingApi;
pub(crate) use grants::{HELLO, INVOICE_SYNC, SECOND_TRY, Template, WAREHOUSE_LOAD};
pub(crate) use service::{SOCKET, Service};
pub(crate) use set::{Finished, POLICY_COMMAND, Stage};
pub(crate) use users::{User, is_root};
