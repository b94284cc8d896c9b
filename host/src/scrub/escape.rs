//! The escapes of percent-encoding, JSON and HTML: one escape at a time.

/// No escape that is read here is longer: `\ud83d\ude00`, `&#x0010ffff;`.
pub(super) const MAX_ESCAPE: usize = 12;

/// Which escapes a view decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// `%2f`, and `%u002f` of old JavaScript.
    Percent,
    /// `\/`, `\n`, `\u002f`, and of C and its heirs `\x2f`, `\u{2f}`.
    Backslash,
    /// `&#47;`, `&#x2f;`, `&amp;`.
    Entity,
    /// All of these.
    Any,
}

impl Escapes {
    /// Whether an escape may start with this byte.
    pub(super) fn start_with(self, byte: u8) -> bool {
        match self {
            Self::Percent => byte == b'%',
            Self::Backslash => byte == b'\\',
            Self::Entity => byte == b'&',
            Self::Any => matches!(byte, b'%' | b'\\' | b'&'),
        }
    }
}

/// What the bytes so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// They may become an escape.
    More,
    /// The first byte stands for itself.
    Literal,
    /// The first `consumed` bytes spell these.
    Escape {
        /// How many bytes the escape has.
        consumed: usize,
        /// What it stands for.
        decoded: Decoded,
    },
}

/// At most one character in UTF-8, or one byte.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    bytes: [u8; 4],
    len: usize,
}

impl Decoded {
    fn byte(byte: u8) -> Self {
        Self {
            bytes: [byte, 0, 0, 0],
            len: 1,
        }
    }

    fn char(c: char) -> Self {
        let mut bytes = [0; 4];
        let len = c.encode_utf8(&mut bytes).len();
        Self { bytes, len }
    }

    /// The bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Reads the escape at the start of `bytes`; `end` says that no more follow.
pub(super) fn parse(escapes: Escapes, bytes: &[u8], end: bool) -> Parsed {
    let Some((&first, rest)) = bytes.split_first() else {
        return Parsed::More;
    };
    if !escapes.start_with(first) {
        return Parsed::Literal;
    }
    let parsed = match first {
        b'%' => percent(rest),
        b'\\' => backslash(rest),
        _ => entity(rest, end),
    };
    match parsed {
        Parsed::More if end || bytes.len() >= MAX_ESCAPE => Parsed::Literal,
        Parsed::Escape { consumed, decoded } => Parsed::Escape {
            consumed: consumed + 1,
            decoded,
        },
        other => other,
    }
}

/// After `%`.
fn percent(rest: &[u8]) -> Parsed {
    match rest.split_first() {
        None => Parsed::More,
        Some((b'u' | b'U', digits)) => number(digits, 4, 1, char_of),
        Some(_) => number(rest, 2, 0, byte_of),
    }
}

/// After `\`.
fn backslash(rest: &[u8]) -> Parsed {
    let Some((&kind, after)) = rest.split_first() else {
        return Parsed::More;
    };
    let byte = match kind {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'0' => 0,
        b'x' => return number(after, 2, 1, byte_of),
        b'u' => return unicode(after),
        // No encoder escapes another's introduction this way, and taking it
        // would hide an escape of the next layer.
        b'%' | b'&' => return Parsed::Literal,
        mark if mark.is_ascii_punctuation() => mark,
        _ => return Parsed::Literal,
    };
    Parsed::Escape {
        consumed: 1,
        decoded: Decoded::byte(byte),
    }
}

/// After `\u`.
fn unicode(rest: &[u8]) -> Parsed {
    if let Some((b'{', digits)) = rest.split_first() {
        return terminated(digits, 16, b'}', None, 2);
    }
    let Some(high) = hex_value(rest, 4) else {
        return number(rest, 4, 1, char_of);
    };
    if !(0xd800..0xdc00).contains(&high) {
        return number(rest, 4, 1, char_of);
    }
    // A character outside the basic plane is two escapes.
    let low = rest.get(4..).unwrap_or_default();
    match low {
        [] | [b'\\'] => Parsed::More,
        [b'\\', b'u', digits @ ..] => match hex_value(digits, 4) {
            Some(low @ 0xdc00..0xe000) => {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                char_of(code).map_or(Parsed::Literal, |decoded| Parsed::Escape {
                    consumed: 11,
                    decoded,
                })
            }
            Some(_) => Parsed::Literal,
            None => incomplete(digits, 4),
        },
        _ => Parsed::Literal,
    }
}

/// After `&`.
fn entity(rest: &[u8], end: bool) -> Parsed {
    const NAMES: [(&[u8], u8); 5] = [
        (b"amp;", b'&'),
        (b"lt;", b'<'),
        (b"gt;", b'>'),
        (b"quot;", b'"'),
        (b"apos;", b'\''),
    ];
    match rest {
        [] | [b'#'] => return Parsed::More,
        [b'#', b'x' | b'X', digits @ ..] => return terminated(digits, 16, b';', Some(end), 2),
        [b'#', digits @ ..] => return terminated(digits, 10, b';', Some(end), 1),
        _ => {}
    }
    let mut open = false;
    for (name, byte) in NAMES {
        if rest.starts_with(name) {
            return Parsed::Escape {
                consumed: name.len(),
                decoded: Decoded::byte(byte),
            };
        }
        open |= name.starts_with(rest);
    }
    if open { Parsed::More } else { Parsed::Literal }
}

/// Exactly `len` hex digits, after `before` bytes of introduction.
fn number(
    digits: &[u8],
    len: usize,
    before: usize,
    decode: impl Fn(u32) -> Option<Decoded>,
) -> Parsed {
    match hex_value(digits, len) {
        Some(value) => decode(value).map_or(Parsed::Literal, |decoded| Parsed::Escape {
            consumed: before + len,
            decoded,
        }),
        None => incomplete(digits, len),
    }
}

/// Digits up to a terminator. `lenient` is for entities, which browsers read up
/// to whatever is no digit; it says whether the text ends here.
fn terminated(
    digits: &[u8],
    radix: u32,
    terminator: u8,
    lenient: Option<bool>,
    before: usize,
) -> Parsed {
    const MOST_DIGITS: usize = 8;
    let len = digits
        .iter()
        .take_while(|b| char::from(**b).is_digit(radix))
        .count();
    let consumed = match digits.get(len) {
        _ if len > MOST_DIGITS => return Parsed::Literal,
        None if lenient == Some(true) && len > 0 => before + len,
        None => return Parsed::More,
        Some(_) if len == 0 => return Parsed::Literal,
        Some(b) if *b == terminator => before + len + 1,
        Some(_) if lenient.is_some() => before + len,
        Some(_) => return Parsed::Literal,
    };
    value(digits.get(..len).unwrap_or_default(), radix)
        .and_then(char_of)
        .map_or(Parsed::Literal, |decoded| Parsed::Escape {
            consumed,
            decoded,
        })
}

/// Too few digits yet, or a wrong one among them.
fn incomplete(digits: &[u8], len: usize) -> Parsed {
    if digits.len() < len && digits.iter().all(u8::is_ascii_hexdigit) {
        Parsed::More
    } else {
        Parsed::Literal
    }
}

fn hex_value(digits: &[u8], len: usize) -> Option<u32> {
    value(digits.get(..len)?, 16)
}

fn value(digits: &[u8], radix: u32) -> Option<u32> {
    digits.iter().try_fold(0_u32, |sum, b| {
        sum.checked_mul(radix)?
            .checked_add(char::from(*b).to_digit(radix)?)
    })
}

fn char_of(code: u32) -> Option<Decoded> {
    char::from_u32(code).map(Decoded::char)
}

fn byte_of(code: u32) -> Option<Decoded> {
    u8::try_from(code).ok().map(Decoded::byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(text: &str) -> Option<(usize, Vec<u8>)> {
        match parse(Escapes::Any, text.as_bytes(), true) {
            Parsed::Escape { consumed, decoded } => Some((consumed, decoded.as_bytes().to_vec())),
            _ => None,
        }
    }

    #[test]
    fn every_escape_decodes() {
        for (text, plain) in [
            ("%2F", "/"),
            ("%2f", "/"),
            ("%u20ac", "€"),
            ("\\/", "/"),
            ("\\n", "\n"),
            ("\\u002F", "/"),
            ("\\uD83D\\uDE00", "😀"),
            ("\\x2f", "/"),
            ("\\u{1F600}", "😀"),
            ("&#47;", "/"),
            ("&#x2F;", "/"),
            ("&#00047;", "/"),
            ("&amp;", "&"),
            ("&#47", "/"),
        ] {
            assert_eq!(any(text), Some((text.len(), plain.into())), "{text}");
        }
        assert_eq!(any("&#47x"), Some((4, b"/".to_vec())));
    }

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        for text in [
            "%",
            "%g0",
            "%2",
            "\\",
            "\\q",
            "\\u12",
            "\\ud83d",
            "\\ud83dxx",
            "\\ud83d\\u0041",
            "&",
            "&x;",
            "&#;",
            "&#x110000;",
            "&#123456789;",
            "a",
        ] {
            assert_eq!(any(text), None, "{text}");
        }
    }

    #[test]
    fn a_started_escape_waits_for_the_rest() {
        let full = "\\ud83d\\ude00";
        for len in 1..full.len() {
            assert_eq!(
                parse(Escapes::Backslash, &full.as_bytes()[..len], false),
                Parsed::More,
                "{len}"
            );
        }
    }
}
