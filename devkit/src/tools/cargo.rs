//! Cargo inside cargo.

use std::process::Command;

/// Removes what the cargo that runs *us* has set for us alone. Crates with a
/// build script that watches such variables (`ring` is one) would be built
/// again and again, once for the inner and once for the outer cargo.
pub fn forget_outer_cargo(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let is_ours = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
            "CARGO_PRIMARY_",
        ]
        .iter()
        .any(|prefix| text.starts_with(prefix));
        if is_ours || text == "OUT_DIR" {
            command.env_remove(&name);
        }
    }
}
