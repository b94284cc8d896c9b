//! A place in a statement.

use std::fmt;

/// Most characters of a line that are shown.
const SHOWN: usize = 72;

/// Where in the task's own statement something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    line: usize,
    column: usize,
    excerpt: String,
}

impl Place {
    /// From a character's number, counted from 1.
    pub(super) fn of(statement: &str, position: u32) -> Option<Self> {
        let before = usize::try_from(position).ok()?.checked_sub(1)?;
        let mut rest = before;
        for (index, line) in statement.split('\n').enumerate() {
            let length = line.chars().count();
            if rest <= length {
                return Some(Self {
                    line: index + 1,
                    column: rest + 1,
                    excerpt: excerpt(line, rest),
                });
            }
            rest -= length + 1;
        }
        None
    }

    /// The line of the statement, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The character in the line, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// The line's text around it.
    pub fn excerpt(&self) -> &str {
        &self.excerpt
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: `{}`",
            self.line, self.column, self.excerpt
        )
    }
}

/// The line from `at` on, or whole if it is short.
fn excerpt(line: &str, at: usize) -> String {
    let line = line.trim_end();
    let blank = line.chars().take_while(|c| c.is_whitespace()).count();
    let whole = line.chars().count() - blank <= SHOWN;
    let from = if whole { blank } else { at.max(blank) };
    let mut excerpt: String = line.chars().skip(from).take(SHOWN).collect();
    if line.chars().count() > from + SHOWN {
        excerpt.push('…');
    }
    excerpt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_line_and_a_column() {
        let statement = "SELECT id,\n       naïve\n  FROM orders\n";
        let shown = |position| Place::of(statement, position).map(|place| place.to_string());
        assert_eq!(shown(1).unwrap(), "line 1, column 1: `SELECT id,`");
        assert_eq!(shown(19).unwrap(), "line 2, column 8: `naïve`");
        assert_eq!(shown(27).unwrap(), "line 3, column 3: `FROM orders`");
        assert_eq!(shown(0), None);
        assert_eq!(shown(99), None);
    }

    #[test]
    fn a_long_line_is_shown_from_there() {
        let statement = format!("SELECT {}, x FROM y", "a, ".repeat(40));
        let place = Place::of(&statement, 128).unwrap();
        assert_eq!(place.excerpt(), ", x FROM y");
        let place = Place::of(&statement, 8).unwrap();
        assert!(place.excerpt().ends_with('…') && place.excerpt().starts_with("a, a,"));
    }
}
