//! Content codings, decoded while they stream, with a cap on what comes out.

use std::io::{self, Write};

use brotli::DecompressorWriter;
use flate2::write::MultiGzDecoder;
use http::header::{CONTENT_ENCODING, HeaderMap};

use crate::capability::attempt::AT_ONCE;

/// Working buffer of the brotli decoder, in bytes.
const BROTLI_BUFFER: usize = 8 << 10;

/// Decodes one body.
pub(super) enum Decoder {
    Identity(Capped),
    Gzip(Box<MultiGzDecoder<Capped>>),
    Brotli(Box<DecompressorWriter<Capped>>),
}

/// Why a body cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// More comes out than the grant allows.
    TooLarge,
    /// It is not what its header says, or it ends too early.
    Malformed,
}

impl Decoder {
    /// The decoder for a response, letting out at most `limit` bytes; `None`
    /// for a coding that the host cannot look into, and for several at once.
    pub(super) fn of(headers: &HeaderMap, limit: usize) -> Option<Self> {
        let sink = Capped {
            out: Vec::new(),
            left: limit,
            over: false,
        };
        let mut codings = headers.get_all(CONTENT_ENCODING).iter();
        let coding = codings.next();
        if codings.next().is_some() {
            return None;
        }
        let coding = match coding {
            Some(value) => value.to_str().ok()?.trim().to_ascii_lowercase(),
            None => return Some(Self::Identity(sink)),
        };
        match coding.as_str() {
            "" | "identity" => Some(Self::Identity(sink)),
            "gzip" | "x-gzip" => Some(Self::Gzip(Box::new(MultiGzDecoder::new(sink)))),
            "br" => Some(Self::Brotli(Box::new(DecompressorWriter::new(
                sink,
                BROTLI_BUFFER,
            )))),
            _ => None,
        }
    }

    /// How much to [`Decoder::push`] at most, if what that takes shall be bounded. Gzip makes
    /// up to 1,032 bytes of one (<https://zlib.net/zlib_tech.html>); brotli knows no bound but the
    /// grant's, and is quick where it makes very much of little. Pieces of this size take a tenth
    /// longer to decode than whole chunks, and smaller ones up to half as long again.
    pub(super) fn piece(&self) -> usize {
        match self {
            Self::Identity(_) => AT_ONCE,
            Self::Gzip(_) | Self::Brotli(_) => 1 << 10,
        }
    }

    /// Takes the next bytes and appends to `out` what they stand for.
    pub(super) fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let written = match self {
            Self::Identity(sink) => sink.write_all(chunk),
            Self::Gzip(decoder) => decoder.write_all(chunk).and_then(|()| decoder.flush()),
            Self::Brotli(decoder) => decoder.write_all(chunk),
        };
        self.drain(written, out)
    }

    /// Ends the body: it must be complete.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let ended = match self {
            Self::Identity(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Brotli(decoder) => decoder.close(),
        };
        self.drain(ended, out)
    }

    fn drain(&mut self, result: io::Result<()>, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let sink = match self {
            Self::Identity(sink) => sink,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
        };
        if sink.over {
            return Err(DecodeError::TooLarge);
        }
        result.map_err(|_| DecodeError::Malformed)?;
        out.append(&mut sink.out);
        Ok(())
    }
}

/// Takes so many bytes and no more.
pub(super) struct Capped {
    out: Vec<u8>,
    left: usize,
    over: bool,
}

impl Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(left) = self.left.checked_sub(bytes.len()) else {
            self.over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        self.left = left;
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn brotli(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4_096, 5, 22);
        encoder.write_all(bytes).unwrap();
        encoder.into_inner()
    }

    fn decode(
        coding: &str,
        body: &[u8],
        limit: usize,
        step: usize,
    ) -> Result<Vec<u8>, DecodeError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap());
        let mut decoder = Decoder::of(&headers, limit).unwrap();
        let mut out = Vec::new();
        for chunk in body.chunks(step) {
            decoder.push(chunk, &mut out)?;
        }
        decoder.finish(&mut out)?;
        Ok(out)
    }

    #[test]
    fn codings_come_out_whole_in_any_chunks() {
        let text = b"the quick brown fox ".repeat(500);
        for step in [1, 7, 1_000, 1_000_000] {
            assert_eq!(decode("identity", &text, 10_000, step).unwrap(), text);
            assert_eq!(decode("gzip", &gzip(&text), 10_000, step).unwrap(), text);
            assert_eq!(decode("GZip", &gzip(&text), 10_000, step).unwrap(), text);
            assert_eq!(decode("br", &brotli(&text), 10_000, step).unwrap(), text);
            let members = [gzip(&text[..50]), gzip(&text[50..])].concat();
            assert_eq!(decode("gzip", &members, 10_000, step).unwrap(), text);
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let zeros = vec![0; 4 << 20];
        for (coding, body) in [
            ("identity", zeros.clone()),
            ("gzip", gzip(&zeros)),
            ("br", brotli(&zeros)),
        ] {
            assert_eq!(
                decode(coding, &body, (4 << 20) - 1, 4_096),
                Err(DecodeError::TooLarge),
                "{coding}"
            );
            assert!(decode(coding, &body, 4 << 20, 4_096).is_ok(), "{coding}");
        }
    }

    #[test]
    fn a_broken_or_cut_body_is_malformed() {
        let text = b"the quick brown fox ".repeat(50);
        for (coding, body) in [("gzip", gzip(&text)), ("br", brotli(&text))] {
            assert_eq!(
                decode(coding, b"this is plain text, not coded", 9_999, 5),
                Err(DecodeError::Malformed),
                "{coding}"
            );
            let cut = &body[..body.len() - 3];
            assert_eq!(
                decode(coding, cut, 9_999, 5),
                Err(DecodeError::Malformed),
                "{coding}"
            );
            assert_eq!(
                decode(coding, b"", 9_999, 5),
                Err(DecodeError::Malformed),
                "{coding}"
            );
        }
    }

    #[test]
    fn what_follows_a_coded_body_is_not_let_out_unscanned() {
        let text = b"the quick brown fox ".repeat(50);
        for (coding, mut body) in [("gzip", gzip(&text)), ("br", brotli(&text))] {
            body.extend_from_slice(b"tail in clear");
            if let Ok(out) = decode(coding, &body, 9_999, 5) {
                assert_eq!(out, text, "{coding}");
            }
        }
    }

    #[test]
    fn other_codings_are_not_looked_into() {
        for coding in [
            "deflate",
            "zstd",
            "compress",
            "gzip, gzip",
            "br,gzip",
            "aes128gcm",
            "x",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap());
            assert!(Decoder::of(&headers, 10).is_none(), "{coding}");
        }
        let mut twice = HeaderMap::new();
        twice.append(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        twice.append(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(Decoder::of(&twice, 10).is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>, step in 1usize..50) {
            for coding in ["gzip", "br", "identity"] {
                let _ = decode(coding, &body, 1_000, step);
            }
        }
    }
}
