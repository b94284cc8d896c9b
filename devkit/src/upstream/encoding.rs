//! The spellings of a reflected request.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// How a body is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Raw,
    /// Base64 after so many bytes of padding (0, 1 or 2), which shift the
    /// alignment.
    Base64(usize),
    /// The URL-safe alphabet without padding.
    Base64Url(usize),
    /// Base64 in lines of 76, as in mail.
    Base64Lines,
    /// Lower-case hex.
    HexLower,
    /// Upper-case hex.
    HexUpper,
    /// Every byte percent-encoded, upper case.
    PercentUpper,
    /// Every byte percent-encoded, lower case.
    PercentLower,
    /// Every third byte percent-encoded.
    PercentSome,
    /// A JSON string with the usual escapes.
    Json,
    /// A JSON string, every character as `\u00XX`.
    JsonUnicode,
    /// Raw under `content-encoding: gzip`.
    Gzip,
    /// Raw under `content-encoding: br`.
    Brotli,
}

impl Encoding {
    /// Every encoding with its name in a path.
    pub const ALL: [(&'static str, Self); 17] = [
        ("raw", Self::Raw),
        ("base64-0", Self::Base64(0)),
        ("base64-1", Self::Base64(1)),
        ("base64-2", Self::Base64(2)),
        ("base64url-0", Self::Base64Url(0)),
        ("base64url-1", Self::Base64Url(1)),
        ("base64url-2", Self::Base64Url(2)),
        ("base64-lines", Self::Base64Lines),
        ("hex", Self::HexLower),
        ("hex-upper", Self::HexUpper),
        ("percent", Self::PercentUpper),
        ("percent-lower", Self::PercentLower),
        ("percent-some", Self::PercentSome),
        ("json", Self::Json),
        ("json-unicode", Self::JsonUnicode),
        ("gzip", Self::Gzip),
        ("br", Self::Brotli),
    ];

    /// The encoding of this name.
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, encoding)| *encoding)
    }

    /// The value of `content-encoding`, when the spelling is one.
    pub fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
            _ => None,
        }
    }

    /// Spells `bytes`.
    pub fn encode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Raw => bytes.to_vec(),
            Self::Base64(shift) => STANDARD.encode(shifted(shift, bytes)).into_bytes(),
            Self::Base64Url(shift) => URL_SAFE_NO_PAD.encode(shifted(shift, bytes)).into_bytes(),
            Self::Base64Lines => {
                let text = STANDARD.encode(bytes).into_bytes();
                text.chunks(76).collect::<Vec<_>>().join(&b"\r\n"[..])
            }
            Self::HexLower => hex::encode(bytes).into_bytes(),
            Self::HexUpper => hex::encode_upper(bytes).into_bytes(),
            Self::PercentUpper => each(bytes, |out, _, byte| write!(out, "%{byte:02X}")),
            Self::PercentLower => each(bytes, |out, _, byte| write!(out, "%{byte:02x}")),
            Self::PercentSome => each(bytes, |out, at, byte| {
                if at % 3 == 0 || !byte.is_ascii_alphanumeric() {
                    write!(out, "%{byte:02X}")
                } else {
                    write!(out, "{}", char::from(byte))
                }
            }),
            Self::Json => serde_json::Value::from(String::from_utf8_lossy(bytes))
                .to_string()
                .into_bytes(),
            Self::JsonUnicode => {
                let escaped = each(bytes, |out, _, byte| write!(out, "\\u{byte:04x}"));
                [b"\"", escaped.as_slice(), b"\""].concat()
            }
            Self::Gzip => gzip(bytes),
            Self::Brotli => brotli(bytes),
        }
    }
}

fn shifted(by: usize, bytes: &[u8]) -> Vec<u8> {
    let mut padded = vec![b'.'; by];
    padded.extend_from_slice(bytes);
    padded
}

fn each(bytes: &[u8], spell: impl Fn(&mut String, usize, u8) -> std::fmt::Result) -> Vec<u8> {
    let mut out = String::with_capacity(bytes.len() * 6);
    for (at, byte) in bytes.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = spell(&mut out, at, *byte);
    }
    out.into_bytes()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    // Neither call fails on a vector.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
    let _ = encoder.write_all(bytes);
    encoder.into_inner()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn spellings_read_back() {
        let text = b"Bearer s3cret/+\"\n";
        let encode = |name: &str| Encoding::named(name).unwrap().encode(text);
        assert_eq!(encode("raw"), text);
        assert_eq!(STANDARD.decode(encode("base64-0")).unwrap(), text);
        assert_eq!(&STANDARD.decode(encode("base64-2")).unwrap()[2..], text);
        assert_eq!(
            &URL_SAFE_NO_PAD.decode(encode("base64url-1")).unwrap()[1..],
            text
        );
        assert_eq!(hex::decode(encode("hex")).unwrap(), text);
        assert_eq!(hex::decode(encode("hex-upper")).unwrap(), text);
        for name in ["percent", "percent-lower", "percent-some"] {
            let spelled = encode(name);
            let read: Vec<u8> = percent_encoding::percent_decode(&spelled).collect();
            assert_eq!(read, text, "{name}");
        }
        for name in ["json", "json-unicode"] {
            let read: String = serde_json::from_slice(&encode(name)).unwrap();
            assert_eq!(read.as_bytes(), text, "{name}");
        }
        let mut read = Vec::new();
        flate2::read::GzDecoder::new(encode("gzip").as_slice())
            .read_to_end(&mut read)
            .unwrap();
        assert_eq!(read, text);
        let mut read = Vec::new();
        brotli::Decompressor::new(encode("br").as_slice(), 4096)
            .read_to_end(&mut read)
            .unwrap();
        assert_eq!(read, text);
        assert_eq!(Encoding::named("rot13"), None);
    }
}
