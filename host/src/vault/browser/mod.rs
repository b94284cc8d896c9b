//! The log-in of a person in a browser (OIDC), and its end.
//!
//! Vault sends the browser to the identity provider, which sends it back to a
//! port of this machine with a code. The code goes to Vault, the token that
//! comes back goes into a file, and nobody sees it in between.

mod flow;
mod log_out;
mod token_slot;

pub use flow::{BrowserLogin, CALLBACK_PATH, LoggedIn, redirect_uri};
pub use log_out::{LoggedOut, log_out};
pub use token_slot::{TokenSlot, TokenSlotError};
