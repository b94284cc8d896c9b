//! `cofferdam serve`: the real binary as a service, over its real socket.

mod api;
mod cancel;
mod command;
mod log;
mod queue;
mod reload;
mod results;
mod stage;
