//! The person's browser.

use std::process::{Command, Stdio};

use url::Url;

/// Opens an address the way the desktop does; false when that is not to be
/// had. The address holds no secret of ours: it asks the provider for a code,
/// which only this process can use.
pub(super) fn open(url: &Url) -> bool {
    Command::new("xdg-open")
        .arg(url.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // It may live as long as the browser: it is not waited for.
        .spawn()
        .is_ok()
}
