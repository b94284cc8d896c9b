//! Text from a guest or a server, made safe to show to people.

/// Makes one line of it: control characters (C0, C1), line and paragraph
/// separators and the marks that turn the direction of writing come out as
/// `\u{1b}`, line breaks as `\n` and `\r`. Tabs stay. What comes out cannot
/// move a cursor, start a line of its own or hide what stands beside it.
pub fn escape_control(text: &str) -> String {
    escape(text, false)
}

/// The same, but `\n` stays a line break; the caller gives each line a prefix
/// of its own, so that none is taken for a line of the host or of Airflow.
pub fn escape_control_lines(text: &str) -> String {
    escape(text, true)
}

fn escape(text: &str, keep_newlines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' if keep_newlines => out.push(c),
            '\t' => out.push(c),
            c if is_unsafe(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}

/// Controls, and the Unicode characters that act on lines or direction
/// (Bidi_Control of the Unicode character database, and the byte order mark).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_codes_and_line_breaks_are_made_visible() {
        assert_eq!(
            escape_control("a\u{1b}[2Jb\rc\n::group::x\u{9b}1m\u{202e}\u{2028}\tend\u{7f}"),
            "a\\u{1b}[2Jb\\rc\\n::group::x\\u{9b}1m\\u{202e}\\u{2028}\tend\\u{7f}"
        );
        assert_eq!(escape_control("grüße, 世界 👩‍🚀"), "grüße, 世界 👩‍🚀");
    }

    #[test]
    fn line_breaks_may_stay_but_nothing_else() {
        assert_eq!(escape_control_lines("a\r\nb\u{85}c"), "a\\r\nb\\u{85}c");
    }
}
