//! What stands between the driver and the server.
//!
//! The driver answers whatever the server asks for: a clear-text password if
//! it is asked for one. So every byte from the server is looked at here first.
//! During the log-in only SCRAM passes, and only to its end, in which the server
//! proves that it knows the user: a server that lets everybody in is refused as
//! well. Afterwards no message may be larger than the grant allows, since the
//! driver takes each one whole into memory, and what the server says about the
//! types of a statement has an end, since the driver asks on and on.

use std::io;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use super::preparing::Preparing;
use super::socket::Socket;

/// Most bytes of a log-in; an ordinary server sends under 1 KiB.
const MAX_LOGIN: usize = 64 << 10;

/// Rounds of SCRAM's key derivation. Servers ask for 4,096, the least that
/// RFC 7677 allows: with fewer, a server that was not the right one could try
/// out passwords faster on what it was sent. Each 100,000 are some 50 ms of this
/// process's time, which the server chooses.
const ITERATIONS: RangeInclusive<u32> = 4_096..=200_000;

/// Most bytes of one setting that the server tells of.
const MAX_SETTING: usize = 8 << 10;

/// Most bytes of all of them, over the life of a session: the driver keeps
/// them. A server tells of some fifteen at the log-in, and of changes.
const MAX_SETTINGS: usize = 64 << 10;

/// Length of a message's head: its kind and its length.
const HEAD: usize = 5;

/// Why the server is not listened to any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// It asks for the password in a form in which it could be used again.
    #[error("the server asks for another kind of log-in than SCRAM-SHA-256")]
    Method,
    /// It lets the user in without having shown that it knows it.
    #[error("the server did not complete SCRAM-SHA-256")]
    Unproven,
    /// It asks for more work than a server needs, or for less than protects.
    #[error("the server asks for too many or too few SCRAM iterations")]
    Iterations,
    /// A log-in of more than [`MAX_LOGIN`] bytes, or settings of too many.
    #[error("the server's log-in or its settings are too large")]
    Flood,
    /// A length or a message that the protocol does not have.
    #[error("the server does not speak its protocol")]
    Malformed,
    /// A message larger than the limit.
    #[error("a message of the server is larger than is allowed")]
    TooLarge,
    /// More about a statement's types than there is to know.
    #[error("the server says too much about the types of a statement")]
    Types,
}

/// The server's stream, watched.
pub(super) struct Guard {
    socket: Socket,
    watch: Watch,
    binding: Option<Vec<u8>>,
}

impl Guard {
    /// Watches a stream from its first byte; `binding` is what ties the log-in
    /// to the TLS session below it.
    pub(super) fn new(
        socket: Socket,
        binding: Option<Vec<u8>>,
        max_message: usize,
        preparing: Arc<Preparing>,
    ) -> Self {
        Self {
            socket,
            watch: Watch::new(max_message, preparing),
            binding,
        }
    }
}

impl AsyncRead for Guard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.socket).poll_read(cx, buffer))?;
        let new = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(this.watch.see(new).map_err(io::Error::other))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl TlsStream for Guard {
    fn channel_binding(&self) -> ChannelBinding {
        match &self.binding {
            Some(hash) => ChannelBinding::tls_server_end_point(hash.clone()),
            None => ChannelBinding::none(),
        }
    }
}

/// How far the log-in is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server has said nothing.
    Fresh,
    /// It asked for SCRAM.
    Asked,
    /// It sent its half of the nonce.
    Continued,
    /// It proved itself; whether rightly, the driver checks.
    Proven,
    /// The user is let in.
    Admitted,
    /// The log-in is over.
    Open,
}

/// Reads along in the server's messages.
struct Watch {
    stage: Stage,
    /// The head of the message under way, and how much of it is there.
    head: [u8; HEAD],
    have: usize,
    /// What is still to come of the message's body.
    left: usize,
    /// The body of a message of the log-in.
    body: Vec<u8>,
    login: usize,
    settings: usize,
    max_message: usize,
    preparing: Arc<Preparing>,
    broken: Option<Violation>,
}

impl Watch {
    fn new(max_message: usize, preparing: Arc<Preparing>) -> Self {
        Self {
            stage: Stage::Fresh,
            head: [0; HEAD],
            have: 0,
            left: 0,
            body: Vec::new(),
            login: 0,
            settings: 0,
            max_message,
            preparing,
            broken: None,
        }
    }

    /// Looks at the next bytes. After a violation there are no more.
    fn see(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        if let Some(violation) = self.broken {
            return Err(violation);
        }
        let seen = self.read(bytes);
        self.broken = seen.err();
        seen
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        if self.stage != Stage::Open {
            self.login = self.login.saturating_add(bytes.len());
        }
        while !bytes.is_empty() {
            if self.have < HEAD {
                let (taken, rest) = bytes.split_at(bytes.len().min(HEAD - self.have));
                for (to, from) in self.head.iter_mut().skip(self.have).zip(taken) {
                    *to = *from;
                }
                self.have += taken.len();
                bytes = rest;
                if self.have < HEAD {
                    break;
                }
                self.begin()?;
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= taken.len();
            bytes = rest;
            if self.stage != Stage::Open {
                self.body.extend_from_slice(taken);
            }
            if self.left == 0 {
                self.have = 0;
                self.end()?;
            }
        }
        if self.stage != Stage::Open && self.login > MAX_LOGIN {
            return Err(Violation::Flood);
        }
        Ok(())
    }

    /// A head is whole.
    fn begin(&mut self) -> Result<(), Violation> {
        let [kind, length @ ..] = self.head;
        let length = u32::from_be_bytes(length);
        // The length counts itself.
        let body = length.checked_sub(4).ok_or(Violation::Malformed)?;
        let body = usize::try_from(body).map_err(|_| Violation::Malformed)?;
        let limit = match self.stage {
            Stage::Open => self.max_message,
            _ => MAX_LOGIN,
        };
        if body > limit {
            return Err(match self.stage {
                Stage::Open => Violation::TooLarge,
                // A server that speaks something else looks like this.
                Stage::Fresh => Violation::Malformed,
                _ => Violation::Flood,
            });
        }
        if kind == b'S' {
            self.settings = self.settings.saturating_add(HEAD + body);
            if body > MAX_SETTING || self.settings > MAX_SETTINGS {
                return Err(Violation::Flood);
            }
        }
        self.preparing.see(kind, HEAD + body)?;
        self.left = body;
        self.body.clear();
        Ok(())
    }

    /// A message is whole.
    fn end(&mut self) -> Result<(), Violation> {
        let [kind, ..] = self.head;
        self.stage = match (self.stage, kind) {
            (Stage::Open, _) => return Ok(()),
            // An error ends the log-in, and a notice is none of it.
            (_, b'E' | b'N') => return Ok(()),
            (stage, b'R') => self.authentication(stage)?,
            (Stage::Admitted, b'Z') => Stage::Open,
            (Stage::Admitted, _) => return Ok(()),
            _ => return Err(Violation::Malformed),
        };
        Ok(())
    }

    fn authentication(&self, stage: Stage) -> Result<Stage, Violation> {
        let (method, data) = self.body.split_first_chunk().ok_or(Violation::Malformed)?;
        match (stage, u32::from_be_bytes(*method)) {
            (Stage::Fresh, 10) => Ok(Stage::Asked),
            (Stage::Asked, 11) => match iterations(data) {
                Some(rounds) if ITERATIONS.contains(&rounds) => Ok(Stage::Continued),
                Some(_) => Err(Violation::Iterations),
                None => Err(Violation::Malformed),
            },
            (Stage::Continued, 12) => Ok(Stage::Proven),
            (Stage::Proven, 0) => Ok(Stage::Admitted),
            (_, 0) => Err(Violation::Unproven),
            (Stage::Fresh, _) => Err(Violation::Method),
            _ => Err(Violation::Malformed),
        }
    }
}

/// The rounds in SCRAM's `r=…,s=…,i=…`.
fn iterations(data: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(data).ok()?;
    let field = text.split(',').find_map(|part| part.strip_prefix("i="))?;
    field.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    fn authentication(method: u32, data: &[u8]) -> Vec<u8> {
        message(b'R', &[&method.to_be_bytes()[..], data].concat())
    }

    fn scram(iterations: &str) -> Vec<Vec<u8>> {
        vec![
            authentication(10, b"SCRAM-SHA-256\0\0"),
            authentication(11, format!("r=abc,s=c2FsdA==,i={iterations}").as_bytes()),
            authentication(12, b"v=c2lnbmF0dXJl"),
            authentication(0, b""),
            message(b'S', b"server_version\x0015\0"),
            message(b'K', &[0; 8]),
            message(b'Z', b"I"),
        ]
    }

    /// What the messages come to, however they are cut.
    fn seen(messages: &[Vec<u8>]) -> Result<Stage, Violation> {
        let bytes = messages.concat();
        let mut whole = Watch::new(1_000, Arc::default());
        let at_once = whole.see(&bytes).map(|()| whole.stage);
        let mut watch = Watch::new(1_000, Arc::default());
        let in_bytes = bytes
            .iter()
            .try_for_each(|byte| watch.see(&[*byte]))
            .map(|()| watch.stage);
        assert_eq!(at_once, in_bytes);
        at_once
    }

    #[test]
    fn a_whole_log_in_by_scram_passes() {
        assert_eq!(seen(&scram("4096")), Ok(Stage::Open));
        let notice = message(b'N', b"SNOTICE\0\0");
        assert_eq!(
            seen(&[vec![notice], scram("4096")].concat()),
            Ok(Stage::Open)
        );
    }

    #[test]
    fn every_other_method_is_refused() {
        // Kerberos, clear text, crypt, MD5, SCM, GSS, SSPI, and what is to come.
        for method in [2, 3, 4, 5, 6, 7, 8, 9, 13, 99] {
            let asked = authentication(method, &[1, 2, 3, 4]);
            assert_eq!(seen(&[asked]), Err(Violation::Method), "{method}");
        }
    }

    #[test]
    fn nobody_gets_in_without_a_proof() {
        let all = scram("4096");
        for left_out in 0..3 {
            let mut some = all.clone();
            some.remove(left_out);
            assert!(seen(&some).is_err(), "{left_out}");
        }
        assert_eq!(seen(&[authentication(0, b"")]), Err(Violation::Unproven));
        assert_eq!(seen(&[message(b'Z', b"I")]), Err(Violation::Malformed));
        // Asked again after SCRAM was begun.
        let mut again = all[..1].to_vec();
        again.push(authentication(3, b""));
        assert_eq!(seen(&again), Err(Violation::Malformed));
    }

    #[test]
    fn the_work_that_a_server_can_ask_for_is_bounded() {
        assert_eq!(seen(&scram("4096")), Ok(Stage::Open));
        for few in ["1", "2", "1000", "4095"] {
            assert_eq!(seen(&scram(few)), Err(Violation::Iterations), "{few}");
        }
        assert_eq!(seen(&scram("200000")), Ok(Stage::Open));
        assert_eq!(seen(&scram("200001")), Err(Violation::Iterations));
        assert_eq!(seen(&scram("0")), Err(Violation::Iterations));
        assert_eq!(seen(&scram("99999999999")), Err(Violation::Malformed));
    }

    #[test]
    fn a_log_in_is_bounded() {
        let mut flood = scram("4096");
        flood.pop();
        for _ in 0..100 {
            flood.push(message(b'N', &[b'x'; 1_000]));
        }
        assert_eq!(seen(&flood), Err(Violation::Flood));
    }

    #[test]
    fn settings_are_bounded_before_and_after_the_log_in() {
        let setting = |length: usize| {
            let value = "x".repeat(length - 3);
            message(b'S', format!("a\0{value}\0").as_bytes())
        };
        let told = scram("4096")
            .iter()
            .filter(|it| it[0] == b'S')
            .map(Vec::len)
            .sum::<usize>();
        let whole = HEAD + MAX_SETTING;
        let fits = vec![setting(MAX_SETTING); (MAX_SETTINGS - told) / whole];
        let rest = (MAX_SETTINGS - told) % whole;
        let all = [fits.clone(), vec![setting(rest - HEAD)]].concat();
        let after = |settings: Vec<Vec<u8>>| {
            let mut watch = Watch::new(1 << 20, Arc::default());
            watch.see(&[scram("4096"), settings].concat().concat())
        };
        let flood = Err(Violation::Flood);
        assert_eq!(after(all.clone()), Ok(()));
        assert_eq!(after([all, vec![setting(3)]].concat()), flood);
        assert_eq!(after(vec![setting(MAX_SETTING + 1)]), flood);
        // In small pieces as well.
        assert_eq!(after(vec![setting(4); 8_000]), flood);
        // And in the log-in, at any place in it.
        for place in 0..scram("4096").len() {
            let mut large = scram("4096");
            large.insert(place, setting(MAX_SETTING + 1));
            assert_eq!(seen(&large), Err(Violation::Flood), "{place}");
        }
    }

    #[test]
    fn a_message_is_bounded() {
        let fits = message(b'D', &[0; 1_000]);
        let large = message(b'D', &[0; 1_001]);
        assert_eq!(seen(&[scram("4096"), vec![fits]].concat()), Ok(Stage::Open));
        assert_eq!(
            seen(&[scram("4096"), vec![large]].concat()),
            Err(Violation::TooLarge)
        );
        assert_eq!(
            seen(&[b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]),
            Err(Violation::Malformed)
        );
        assert_eq!(seen(&[vec![b'R', 0, 0, 0, 3]]), Err(Violation::Malformed));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_nor_get_in(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut watch = Watch::new(1_000, Arc::default());
            let _ = watch.see(&bytes);
            prop_assert!(watch.stage != Stage::Open);
        }
    }
}
