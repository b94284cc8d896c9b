//! `cofferdam serve`: the real binary as a service, over its real socket.

mod api;
mod bad_days;
mod cancel;
mod command;
mod disk;
mod log;
mod openapi;
mod priority;
mod queue;
mod reload;
mod results;
mod stage;
mod tcp;
mod users;
