//! The service over TCP: real TLS, real certificates, real tokens.

mod certificates;
mod command;
mod files;
mod keys;
mod publisher;
mod secrets;
mod signer;
mod site;
mod slow;
mod tokens;
