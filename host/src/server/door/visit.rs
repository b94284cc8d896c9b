//! A connection that was let in, and who makes its requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use axum::http::{HeaderMap, header};
use tokio::sync::Notify;

use super::counts::Place;
use crate::api::ProblemKind;
use crate::server::access::Peer;
use crate::server::refused::Refused;
use crate::server::service::Service;
use crate::server::tcp::{Shown, Tls};
use crate::server::token::BadToken;

/// One connection, as its requests see it.
pub(in crate::server) struct Visit {
    way: Way,
    place: Place,
    has_spoken: AtomicBool,
    /// Tokens that were refused.
    refused: AtomicU32,
    hopeless: Notify,
}

/// Refused tokens after which a connection is ended: who tries more has to shake
/// hands anew, which costs him more than it costs us.
const HOPELESS: u32 = 8;

/// How it is known who makes a request.
enum Way {
    /// The kernel's word, for all of the connection.
    Process(Arc<Peer>),
    /// A certificate, for all of the connection as long as it is good; or a
    /// token, for one request.
    Remote(Option<Shown>),
}

impl Visit {
    /// A process of this machine.
    pub(super) fn of_process(peer: Peer, place: Place) -> Self {
        Self::new(Way::Process(Arc::new(peer)), place)
    }

    /// Somebody over TCP, with the certificate that was shown.
    pub(super) fn of_remote(shown: Option<Shown>, place: Place) -> Self {
        Self::new(Way::Remote(shown), place)
    }

    fn new(way: Way, place: Place) -> Self {
        Self {
            way,
            place,
            has_spoken: AtomicBool::new(false),
            refused: AtomicU32::new(0),
            hopeless: Notify::new(),
        }
    }

    /// Whether there is room for whoever showed a certificate.
    pub(super) fn is_welcome(&self, tls: &Arc<Tls>) -> bool {
        match &self.way {
            Way::Remote(Some(shown)) => {
                (shown.peer(tls)).is_some_and(|peer| self.place.belongs_to(peer))
            }
            _ => true,
        }
    }

    /// A request came.
    pub(super) fn spoke(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
    }

    /// Waits until too many of its tokens were refused.
    pub(super) async fn is_hopeless(&self) {
        self.hopeless.notified().await;
    }

    /// Whether it may stay: it has spoken, and it is known whose it is.
    pub(super) fn is_settled(&self) -> bool {
        self.has_spoken.load(Ordering::Relaxed) && self.place.is_known()
    }

    /// Who makes a request with these headers, if a rule names him.
    pub(in crate::server) async fn caller(
        &self,
        service: &Service,
        headers: &HeaderMap,
    ) -> Result<Arc<Peer>, Refused> {
        let peer = match &self.way {
            Way::Process(peer) => Arc::clone(peer),
            Way::Remote(shown) => {
                let peer = remote(shown.as_ref(), service, headers).await;
                if peer.is_err()
                    && headers.contains_key(header::AUTHORIZATION)
                    && self.refused.fetch_add(1, Ordering::Relaxed) + 1 == HOPELESS
                {
                    self.hopeless.notify_one();
                }
                peer?
            }
        };
        if !service.knows(&peer) {
            return Err(
                Refused::new(ProblemKind::Forbidden, "you may not use this service")
                    .hint("the operator's `[[server.allow]]` names those who may"),
            );
        }
        match self.place.belongs_to(&peer) {
            true => Ok(peer),
            false => Err(Refused::new(
                ProblemKind::TooManyRequests,
                "more connections than `server.limits` lets one caller have",
            )
            .retry_after(1)),
        }
    }
}

/// A token decides where one is sent, good or bad; the certificate where none is.
async fn remote(
    shown: Option<&Shown>,
    service: &Service,
    headers: &HeaderMap,
) -> Result<Arc<Peer>, Refused> {
    let Some(tcp) = service.tcp() else {
        return Err(unknown());
    };
    if headers.contains_key(header::AUTHORIZATION) {
        let Some(tokens) = &tcp.tokens else {
            // Who sends one wants to be taken for its subject, and would not be.
            return Err(Refused::new(
                ProblemKind::BadRequest,
                "this service takes no tokens; a certificate says who you are",
            )
            .hint("leave `Authorization` out"));
        };
        let caller = match bearer(headers) {
            Ok(token) => tokens.caller(token).await,
            Err(bad) => Err(bad),
        };
        return match caller {
            Ok(caller) => Ok(Arc::new(Peer::remote(caller))),
            Err(bad) => {
                tracing::debug!(reason = %bad, "a token is refused");
                service.metrics().token_refused(bad);
                // Which of its checks failed would help whoever forges one.
                Err(
                    Refused::new(ProblemKind::Unauthenticated, "the token is not accepted")
                        .hint(
                            "it may be expired, for another audience or not for this service; the \
                             operator's log at level `debug` says why",
                        )
                        .challenge("Bearer realm=\"cofferdam\", error=\"invalid_token\""),
                )
            }
        };
    }
    let peer = shown.and_then(|shown| shown.peer(&tcp.tls));
    peer.map(Arc::clone).ok_or_else(unknown)
}

fn unknown() -> Refused {
    Refused::new(ProblemKind::Unauthenticated, "nobody knows who you are")
        .hint("send a token in `Authorization: Bearer …`, or show a certificate that is good")
        .challenge("Bearer realm=\"cofferdam\"")
}

/// The one token of a request.
fn bearer(headers: &HeaderMap) -> Result<&str, BadToken> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(BadToken::Malformed);
    };
    let text = value.to_str().map_err(|_| BadToken::Malformed)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() => {
            Ok(token)
        }
        _ => Err(BadToken::Malformed),
    }
}
