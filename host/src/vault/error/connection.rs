//! How a connection to Vault failed.

/// How a connection failed. A closed set: the text of an HTTP client's error
/// holds the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
pub enum ConnectionFault {
    /// Nothing listens there.
    #[strum(serialize = "connection refused")]
    Refused,
    /// The name has no address.
    #[strum(serialize = "the name cannot be resolved")]
    Name,
    /// Certificate or handshake.
    #[strum(serialize = "the TLS handshake failed or the certificate is not trusted")]
    Tls,
    /// The certificate is another server's.
    #[strum(serialize = "the server's certificate does not name it")]
    WrongName,
    /// The certificate is expired or not valid yet, by this host's clock.
    #[strum(serialize = "the server's certificate is not valid at this host's time")]
    WrongTime,
    /// No connection, or no complete answer, in time.
    #[strum(serialize = "no answer in time")]
    TimedOut,
    /// Ended in the middle.
    #[strum(serialize = "the connection broke")]
    Broken,
}
