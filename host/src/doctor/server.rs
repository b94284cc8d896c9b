//! Who may call the service of this configuration.

use super::{Check, CheckId, users};
use crate::config::ServerConfig;
use crate::diagnostic::Diagnostic as _;
use crate::server::lets_in;

/// Nothing, for a configuration that serves nobody.
pub(super) fn check(config: &ServerConfig) -> Option<Check> {
    let id = CheckId::ServerCallers;
    if config.allow.is_empty() && !config.socket.exists() {
        return None;
    }
    let own = rustix::process::geteuid().as_raw();
    let place = config.socket.display().to_string();
    let cure = "run the service under a user of its own, and name the users of its callers in \
                `[[server.allow]]`; docs/OPERATE.md shows how";
    Some(match lets_in(config, own) {
        Err(error) => {
            let cure = error.hint().unwrap_or_default();
            Check::fault(id, place, error.to_string(), cure)
        }
        Ok(true) => {
            let what = format!(
                "{} is the service's own and may call it: what runs under him can read the \
                 credential of its log-in and need not ask the service",
                users::user(own)
            );
            Check::warning(id, place, what, cure)
        }
        Ok(false) => Check::ok(
            id,
            place,
            "its callers run under other users than the service",
        ),
    })
}
