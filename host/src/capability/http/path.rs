//! The path and query of a request, relative to the grant's base.
//!
//! Accepted is only what servers, proxies and we read alike, so that the
//! matched text is the sent text and one resource has one spelling
//! (THREATS 8).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// Longest path with query, in bytes; servers refuse more than 8 KiB.
const MAX_LEN: usize = 8_000;

/// Rounds of percent-decoding that a segment is looked through. A proxy in
/// front of an application decodes twice at worst; what still changes after
/// four rounds is refused.
const MAX_DECODING: usize = 4;

/// A checked path below the base, with its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestPath {
    path: String,
    query: Option<String>,
}

/// Why a text is no [`RequestPath`]; a fixed word for the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadPath(pub(super) &'static str);

impl RequestPath {
    /// Parses `path?query` as a guest gives it.
    pub(super) fn parse(text: &str) -> Result<Self, BadPath> {
        if text.len() > MAX_LEN {
            return Err(BadPath("path_too_long"));
        }
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        Self::parse_path(path)?;
        if let Some(query) = query {
            check_query(query)?;
        }
        Ok(Self {
            path: path.to_owned(),
            query: query.map(str::to_owned),
        })
    }

    /// Checks a path without query.
    pub(super) fn parse_path(path: &str) -> Result<(), BadPath> {
        if path.is_empty() {
            return Err(BadPath("path_empty"));
        }
        if !path.bytes().all(|b| is_pchar(b) || b == b'/') {
            return Err(BadPath("path_character"));
        }
        path.split('/').try_for_each(check_segment)
    }

    /// The path, without leading slash.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The query, without `?`.
    pub(super) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// Whether the query holds a parameter that a server could take for `name`.
    pub(super) fn has_parameter(&self, name: &str) -> bool {
        // Some servers also split at `;`, and PHP reads `name[0]` as `name`.
        self.query().is_some_and(|query| {
            query.split(['&', ';']).any(|pair| {
                let key = pair.split('=').next().unwrap_or_default();
                let key = key.replace('+', " ");
                let key = percent_decode_str(&key).decode_utf8_lossy();
                let key = key.split(['[', '\0']).next().unwrap_or_default();
                key.trim().eq_ignore_ascii_case(name)
            })
        })
    }
}

/// RFC 3986's `pchar`, without `;`: path parameters are stripped by some
/// servers before they route and by others after.
fn is_pchar(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@%".contains(&b)
}

fn check_segment(segment: &str) -> Result<(), BadPath> {
    check_escapes(segment, true)?;
    let mut text = Cow::Borrowed(segment);
    for _ in 0..MAX_DECODING {
        check_decoded(&text)?;
        let decoded = percent_decode_str(&text)
            .decode_utf8()
            .map_err(|_| BadPath("path_not_utf8"))?;
        if decoded == text {
            return Ok(());
        }
        text = Cow::Owned(decoded.into_owned());
    }
    Err(BadPath("path_encoded_too_often"))
}

/// What a segment must not be in any round of decoding.
fn check_decoded(segment: &str) -> Result<(), BadPath> {
    // Empty, `.`, `..`, and what Windows servers take for them.
    if segment.bytes().all(|b| matches!(b, b'.' | b' ')) {
        return Err(BadPath("path_segment"));
    }
    if segment
        .chars()
        .any(|c| c.is_control() || matches!(c, '/' | '\\' | ';'))
    {
        return Err(BadPath("path_encoded_separator"));
    }
    Ok(())
}

/// Every `%` begins two hex digits. In a path they are upper case and never
/// spell a character that needs no escape: one resource, one spelling.
fn check_escapes(text: &str, canonical: bool) -> Result<(), BadPath> {
    for escape in text.split('%').skip(1) {
        let Some(digits) = escape.get(..2) else {
            return Err(BadPath("malformed_escape"));
        };
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadPath("malformed_escape"));
        }
        let Ok(byte) = u8::from_str_radix(digits, 16) else {
            return Err(BadPath("malformed_escape"));
        };
        let lower = digits.bytes().any(|b| b.is_ascii_lowercase());
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if canonical && (lower || unreserved) {
            return Err(BadPath("needless_escape"));
        }
    }
    Ok(())
}

fn check_query(query: &str) -> Result<(), BadPath> {
    // `'` is legal, but the URL standard escapes it; what is sent must be what came.
    let legal = |b: u8| (is_pchar(b) && b != b'\'') || matches!(b, b'/' | b'?' | b';');
    if !query.bytes().all(legal) {
        return Err(BadPath("query_character"));
    }
    check_escapes(query, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_taken() {
        for good in [
            "invoices",
            "invoices/42/lines",
            "a-b_c.d~e",
            "x/y:z@w",
            "caf%C3%A9",
            "a%20b",
            "50%25",
            "...",
            "invoices?page=2&size=100",
            "invoices?",
            "q?redirect=https://example.com/a?b",
            "q?x=%2e%2e%2f",
            "it's",
        ] {
            assert!(RequestPath::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for bad in [
            "",
            "/",
            "/invoices",
            "//evil.example",
            "a//b",
            "a/",
            ".",
            "..",
            "a/..",
            "a/../b",
            "./a",
            "%2e",
            "%2E%2E",
            "%2e%2e/admin",
            ".%2e/admin",
            "%2E./admin",
            "a/%2e%2e/b",
            "%252e%252e/admin",
            "%25252E%25252E",
            "%2525252525252E",
            "a%2fb",
            "a%2Fb",
            "a%5cb",
            "a%5Cb",
            "a\\b",
            "a%00b",
            "a%0ab",
            "a%0D%0AX: y",
            "a%7Fb",
            "a;b",
            "a%3Bb",
            "..;/admin",
            "a b",
            "a\tb",
            "a\r\nb",
            "a\0b",
            "é",
            "a%",
            "a%4",
            "a%zz",
            "a%+1",
            "%61dmin",
            "%C3%a9",
            "%C0%AE%C0%AE",
            "%FF",
            "..%20",
            "%20",
            "a#b",
            "a?b#c",
            "a[b]",
            "a{b}",
            "a|b",
            "a^b",
            "a\"b",
            "a<b",
            "a`b",
            "http://evil.example/",
            "x?a'b",
            "x?a b",
            "x?%",
            "x?a%0",
            "x?\u{e9}",
            "a%252Fb",
            "a%255cb",
            "\u{ff0e}\u{ff0e}/a",
        ] {
            // `http://…` fails for its empty segment: a scheme is no danger in itself.
            assert!(RequestPath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(RequestPath::parse(&"x".repeat(MAX_LEN + 1)).is_err());
    }

    #[test]
    fn a_parameter_is_found_in_any_spelling() {
        let has = |text: &str| RequestPath::parse(text).unwrap().has_parameter("key");
        for spelled in [
            "p?key=1",
            "p?a=b&key=1",
            "p?key",
            "p?%6bey=1",
            "p?%6B%65%79=1",
            "p?KEY=1",
            "p?a;key=1",
            "p?key%5B0%5D=1",
            "p?+key=1",
            "p?key%00=1",
        ] {
            assert!(has(spelled), "{spelled}");
        }
        for other in [
            "p",
            "p?",
            "p?keys=1",
            "p?a=key",
            "p?a=b%26key=1",
            "p?monkey=1",
        ] {
            assert!(!has(other), "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = RequestPath::parse(&text);
        }

        #[test]
        fn what_is_accepted_survives_the_url_parser(text in "[a-zA-Z0-9._~%/?&='+,:@!$()*;-]{1,24}") {
            if let Ok(path) = RequestPath::parse(&text) {
                let url = url::Url::parse(&format!("https://example.com/v1/{text}")).unwrap();
                let sent = &url[url::Position::BeforePath..];
                proptest::prop_assert_eq!(sent, format!("/v1/{text}"));
                proptest::prop_assert!(path.path().len() <= text.len());
            }
        }
    }
}
