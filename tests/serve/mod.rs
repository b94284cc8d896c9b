//! `cofferdam serve`: the real binary as a service, over its real socket.

mod activation;
mod api;
mod bad_days;
mod cancel;
mod client;
mod command;
mod disk;
mod journal;
mod leaks;
mod log;
mod observed;
mod openapi;
mod operate;
mod priority;
mod problems;
mod queue;
mod reload;
mod results;
mod stage;
mod succession;
mod tcp;
mod users;
