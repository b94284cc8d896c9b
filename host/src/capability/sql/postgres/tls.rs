//! From a bare stream to an encrypted one, in PostgreSQL's way.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connect::Unconnected;
use super::socket::Socket;
use crate::capability::bindings::cofferdam::capabilities::sql::ConnectionError;

/// "I want TLS": length, and a number that is no version of the protocol.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How a server is asked for TLS, and whom it has to be.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) settings: Arc<rustls::ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl Tls {
    /// Encrypts a stream, and what binds a log-in to it. A server without TLS
    /// is not spoken to. Whatever a server sends between its consent and the
    /// handshake is taken for the handshake, and breaks it.
    pub(super) async fn encrypt(
        &self,
        mut stream: TcpStream,
    ) -> Result<(Socket, Option<Vec<u8>>), Unconnected> {
        let broken = |_| Unconnected::new(ConnectionError::Reset, "tls_request");
        stream.write_all(&SSL_REQUEST).await.map_err(broken)?;
        if stream.read_u8().await.map_err(broken)? != b'S' {
            return Err(Unconnected::new(ConnectionError::Tls, "server_without_tls"));
        }
        let connector = TlsConnector::from(Arc::clone(&self.settings));
        let stream = connector
            .connect(self.name.clone(), stream)
            .await
            .map_err(|_| Unconnected::new(ConnectionError::Tls, "tls_handshake"))?;
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        let binding = certificate.and_then(|it| server_end_point(it));
        Ok((Socket::Tls(Box::new(stream)), binding))
    }
}

/// RFC 5929's `tls-server-end-point`: the certificate's hash, by the hash
/// function of its own signature; none where that has none of its own.
fn server_end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signature }
    let (inside, _) = element(certificate, 0x30)?;
    let (_, rest) = element(inside, 0x30)?;
    let (algorithm, _) = element(rest, 0x30)?;
    let (identifier, _) = element(algorithm, 0x06)?;
    match identifier {
        // MD5 and SHA-1 with RSA and SHA-1 with ECDSA are taken for SHA-256.
        [
            0x2a,
            0x86,
            0x48,
            0x86,
            0xf7,
            0x0d,
            0x01,
            0x01,
            0x04 | 0x05 | 0x0b,
        ]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => {
            Some(Sha256::digest(certificate).to_vec())
        }
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => {
            Some(Sha384::digest(certificate).to_vec())
        }
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => {
            Some(Sha512::digest(certificate).to_vec())
        }
        _ => None,
    }
}

/// The content of the DER element that comes first, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    if first != tag {
        return None;
    }
    if short < 0x80 {
        return rest.split_at_checked(short.into());
    }
    let (bytes, rest) = rest.split_at_checked((short & 0x7f).into())?;
    if bytes.len() > 4 {
        return None;
    }
    let length = bytes
        .iter()
        .fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_hash_is_that_of_the_signature() {
        for (algorithm, length) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Some(32)),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Some(48)),
            (&rcgen::PKCS_ED25519, None),
        ] {
            let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
            let names = vec!["db.example.com".to_owned()];
            let made = rcgen::CertificateParams::new(names)
                .unwrap()
                .self_signed(&key)
                .unwrap();
            let hash = server_end_point(made.der());
            assert_eq!(hash.as_ref().map(Vec::len), length);
            if length == Some(32) {
                assert_eq!(hash.unwrap(), Sha256::digest(made.der()).to_vec());
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = server_end_point(&CertificateDer::from(bytes.clone()));
            let _ = server_end_point(&CertificateDer::from([&[0x30, 0x82, 0, 90][..], &bytes].concat()));
        }
    }
}
