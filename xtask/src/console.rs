//! Words for people. The demo's story and the tests' results are this
//! program's data, so they go to stdout; errors go to stderr.

use std::fmt::Display;
use std::io::Write as _;

/// One line on stdout. A closed pipe is not our error.
pub(crate) fn say(text: impl Display) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}");
    let _ = stdout.flush();
}

/// The beginning of a part.
pub(crate) fn heading(text: impl Display) {
    say(format_args!("\n== {text}"));
}

/// A text of several lines, indented, such as a command's output.
pub(crate) fn quote(text: &str) {
    for line in text.trim_end().lines() {
        say(format_args!("    {line}"));
    }
}

/// One line on stderr.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
