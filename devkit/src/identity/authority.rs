//! A certificate authority.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

/// Issues certificates for servers and clients.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, both PEM.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

impl Authority {
    /// An authority of its own.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("cannot make a key")?;
        Ok(Self {
            issuer: CertifiedIssuer::self_signed(params, key)
                .context("cannot make an authority")?,
        })
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a server with these names or addresses.
    pub fn server(&self, names: &[&str]) -> Result<Issued> {
        self.issue(server(names)?)
    }

    /// The same, valid from an hour ago to an hour from now.
    pub fn server_for_an_hour(&self, names: &[&str]) -> Result<Issued> {
        let mut params = server(names)?;
        let (now, hour) = (SystemTime::now(), Duration::from_secs(60 * 60));
        params.not_before = (now - hour).into();
        params.not_after = (now + hour).into();
        self.issue(params)
    }

    /// A certificate for a client with this common name.
    pub fn client(&self, name: &str) -> Result<Issued> {
        self.issue(params(&[], name, ExtendedKeyUsagePurpose::ClientAuth)?)
    }

    /// The same, valid for so long from now.
    pub fn client_for(&self, name: &str, life: Duration) -> Result<Issued> {
        let mut params = params(&[], name, ExtendedKeyUsagePurpose::ClientAuth)?;
        let now = SystemTime::now();
        params.not_before = (now - Duration::from_secs(60)).into();
        params.not_after = (now + life).into();
        self.issue(params)
    }

    /// One with this URI, such as a SPIFFE id, beside a common name.
    pub fn client_of_uri(&self, uri: &str) -> Result<Issued> {
        let mut params = params(&[], "somebody", ExtendedKeyUsagePurpose::ClientAuth)?;
        let uri = uri.try_into().context("not a URI")?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        self.issue(params)
    }

    /// One that ended an hour ago.
    pub fn expired_client(&self, name: &str) -> Result<Issued> {
        let mut params = params(&[], name, ExtendedKeyUsagePurpose::ClientAuth)?;
        let (now, hour) = (SystemTime::now(), Duration::from_secs(60 * 60));
        params.not_before = (now - 2 * hour).into();
        params.not_after = (now - hour).into();
        self.issue(params)
    }

    fn issue(&self, params: CertificateParams) -> Result<Issued> {
        let key = KeyPair::generate().context("cannot make a key")?;
        let certificate = params
            .signed_by(&key, &self.issuer)
            .context("cannot issue a certificate")?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn server(names: &[&str]) -> Result<CertificateParams> {
    params(names, "server", ExtendedKeyUsagePurpose::ServerAuth)
}

fn params(
    names: &[&str],
    common: &str,
    purpose: ExtendedKeyUsagePurpose,
) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).context("not a name")?;
    params.distinguished_name.push(DnType::CommonName, common);
    params.extended_key_usages = vec![purpose];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}
