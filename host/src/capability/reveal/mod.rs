//! The `reveal` capability.

mod grant;
mod host;

pub use grant::*;
pub use host::*;
