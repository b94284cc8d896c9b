//! What a task may ask of an API: `METHOD path/pattern`.

use std::fmt;

use globset::{GlobBuilder, GlobMatcher};

use super::path::RequestPath;
use crate::capability::field::{FieldError, shown};

/// One `METHOD path/pattern` line. The pattern is relative to the grant's base
/// and is matched, case-sensitive and undecoded, on the very bytes of the path
/// that are sent. `*` stands for any text within a segment; `**`, alone in a
/// segment, for any number of segments (`a/**` covers what lies below `a`, not
/// `a` itself).
#[derive(Debug, Clone)]
pub struct AllowRule {
    method: String,
    pattern: String,
    matcher: GlobMatcher,
}

impl AllowRule {
    /// Parses one line of `allow`.
    pub(super) fn parse(line: &str) -> Result<Self, FieldError> {
        let refuse =
            |problem: &str| FieldError::new("allow", format!("holds `{}`: {problem}", shown(line)));
        let Some((method, pattern)) = line.split_once(' ') else {
            return Err(refuse(
                "expected a method, one space and a path, such as `GET invoices/**`",
            ));
        };
        if !is_method(method) {
            return Err(refuse("the method must be 1 to 32 capital letters or `-`"));
        }
        if is_refused_method(method) {
            return Err(refuse("this method is never allowed"));
        }
        // `*` is a legal character of a path, so the path's own rules hold for
        // the pattern too: no `..`, no leading slash, no query, no escapes
        // that could spell the same path in another way.
        if RequestPath::parse_path(pattern).is_err() {
            return Err(refuse(
                "the pattern must be a path below `base`: no leading `/`, no query, no empty, `.` or `..` segment",
            ));
        }
        if pattern.split('/').any(|s| s.contains("**") && s != "**") {
            return Err(refuse("`**` must stand alone between slashes"));
        }
        // Only `*` may have a meaning: `{`, `[`, `?` and `\` are not in the
        // path's alphabet, but `!` and `,` are, and mean nothing outside them.
        let matcher = GlobBuilder::new(pattern)
            .literal_separator(true)
            .backslash_escape(false)
            .build()
            .map_err(|_| refuse("the pattern cannot be read"))?
            .compile_matcher();
        Ok(Self {
            method: method.to_owned(),
            pattern: pattern.to_owned(),
            matcher,
        })
    }

    /// The method, upper case.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The pattern as written.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the rule covers a request.
    pub(super) fn covers(&self, method: &str, path: &RequestPath) -> bool {
        self.method == method && self.matcher.is_match(path.path())
    }
}

impl fmt::Display for AllowRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.pattern)
    }
}

/// A method that could be sent: capital letters and `-`.
pub(super) fn is_method(method: &str) -> bool {
    (1..=32).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-')
}

/// CONNECT makes a tunnel and TRACE echoes the credential: never sent.
pub(super) fn is_refused_method(method: &str) -> bool {
    matches!(method, "CONNECT" | "TRACE" | "TRACK")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(rule: &str, method: &str, path: &str) -> bool {
        let path = RequestPath::parse(path).unwrap();
        AllowRule::parse(rule).unwrap().covers(method, &path)
    }

    #[test]
    fn patterns_match_segments() {
        for (rule, method, path, expected) in [
            ("GET invoices", "GET", "invoices", true),
            ("GET invoices", "GET", "invoices?page=2", true),
            ("GET invoices", "POST", "invoices", false),
            ("GET invoices", "HEAD", "invoices", false),
            ("GET invoices", "GET", "Invoices", false),
            ("GET invoices", "GET", "invoices2", false),
            ("GET invoices", "GET", "a/invoices", false),
            ("GET invoices/*", "GET", "invoices/1", true),
            ("GET invoices/*", "GET", "invoices/1/lines", false),
            ("GET invoices/*", "GET", "invoices", false),
            ("GET invoices/**", "GET", "invoices/1/lines", true),
            ("GET invoices/**", "GET", "invoices", false),
            ("GET invoices/**", "GET", "invoices2/1", false),
            ("GET **", "GET", "a/b/c", true),
            ("GET a/**/z", "GET", "a/z", true),
            ("GET a/**/z", "GET", "a/b/c/z", true),
            ("GET a/**/z", "GET", "a/b/c/y", false),
            ("GET v*/x", "GET", "v1/x", true),
            ("GET v*/x", "GET", "v1/2/x", false),
            ("GET a.b", "GET", "axb", false),
            ("GET a+b!,c", "GET", "a+b!,c", true),
            ("GET .well-known/*", "GET", ".well-known/x", true),
        ] {
            assert_eq!(
                covers(rule, method, path),
                expected,
                "{rule} {method} {path}"
            );
        }
    }

    #[test]
    fn what_is_not_a_rule_is_refused() {
        for bad in [
            "",
            "GET",
            "GET ",
            "get x",
            "GET  x",
            "GET /x",
            "GET x/",
            "GET a//b",
            "GET ../x",
            "GET a/./b",
            "GET a?b",
            "GET a#b",
            "GET a**",
            "GET **a/b",
            "GET a[b]",
            "GET {a,b}",
            "GET a\\b",
            "GET %2e",
            "CONNECT x",
            "TRACE x",
            "G*T x",
            "GET a b",
            "GET é",
        ] {
            assert!(AllowRule::parse(bad).is_err(), "{bad:?}");
        }
    }
}
