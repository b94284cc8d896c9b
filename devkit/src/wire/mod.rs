//! As much of HTTP/1.1 as the proxy and the hostile upstream need to read, by
//! hand, because both must misbehave in ways that a proper server library
//! does not allow.

mod request;

pub(crate) use request::{Request, read_request};
