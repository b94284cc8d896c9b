//! The server before OpenBao that has `auth/aws/login`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::cloud::{AwsKey, element, principal};
use crate::process::Background;
use crate::wire::{Request, read_request};

/// How far the date of a signature may be off at STS.
const SKEW: u64 = 15 * 60;

/// The header that names the Vault.
const SERVER_ID: &str = "X-Vault-AWS-IAM-Server-ID";

/// What the mount and its one role say.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) bao: SocketAddr,
    pub(super) root_token: String,
    pub(super) cloud: String,
    pub(super) role: String,
    pub(super) arn: String,
    pub(super) server_id: String,
    pub(super) sts_endpoint: String,
}

struct Shared {
    settings: Mutex<Settings>,
    ahead: Mutex<Duration>,
    container: Mutex<Option<(String, AwsKey)>>,
    log_ins: Mutex<Vec<Vec<u8>>>,
    client: Client,
}

/// The running server; dropping it stops it.
pub(super) struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
    _background: Background,
}

/// A client without TLS and without redirects.
pub(in crate::identity) fn client() -> Result<Client> {
    // Fails only when one is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(30))
        .tls_certs_only([])
        .build()
        .context("cannot make an HTTP client")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gate {
    pub(super) fn start(settings: Settings) -> Result<Self> {
        let shared = Arc::new(Shared {
            settings: Mutex::new(settings),
            ahead: Mutex::default(),
            container: Mutex::default(),
            log_ins: Mutex::default(),
            client: client()?,
        });
        let for_thread = Arc::clone(&shared);
        let (address, background) =
            Background::listen(move |listener| accept(listener, for_thread))?;
        Ok(Self {
            address,
            shared,
            _background: background,
        })
    }

    pub(super) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.shared.settings));
    }

    pub(super) fn advance(&self, time: Duration) {
        *lock(&self.shared.ahead) = time;
    }

    pub(super) fn container(&self, token: &str, key: &AwsKey) -> String {
        *lock(&self.shared.container) = Some((token.to_owned(), key.clone()));
        format!("{}/credentials", self.address())
    }

    pub(super) fn log_ins(&self) -> Vec<Vec<u8>> {
        lock(&self.shared.log_ins).clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        // A broken connection is what the client sees; nobody to tell.
        tokio::spawn(async move { shared.serve(client).await });
    }
}

impl Shared {
    async fn serve(&self, mut client: TcpStream) -> Result<()> {
        let Some(request) = read_request(&mut client).await? else {
            return Ok(());
        };
        let answer = match request.path() {
            "/v1/auth/aws/login" => {
                lock(&self.log_ins).push(request.body.clone());
                match self.log_in(&request.body).await {
                    Ok(token) => canned(200, &token),
                    Err(error) => canned(400, &json!({ "errors": [error.to_string()] })),
                }
            }
            "/credentials" => self.credentials(&request),
            _ => self.forward(&request).await?,
        };
        client.write_all(&answer).await?;
        Ok(client.shutdown().await?)
    }

    async fn log_in(&self, body: &[u8]) -> Result<Value> {
        let settings = lock(&self.settings).clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH)? + *lock(&self.ahead);
        let signed = Signed::checked(body, &settings, now.as_secs())?;
        // To moto as to STS, but for the address that it is reached at.
        let mut request = self.client.post(format!("{}/", settings.cloud));
        for (name, value) in &signed.headers {
            request = request.header(name, value);
        }
        let answer = request.body(signed.body).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        anyhow::ensure!(status.is_success(), "STS answers {status}: {text}");
        let arn = principal(element(&text, "Arn").context("STS names nobody")?);
        anyhow::ensure!(arn == settings.arn, "the role is not bound to {arn}");
        let made = self
            .client
            .post(format!("http://{}/v1/auth/token/create", settings.bao))
            .header("x-vault-token", &settings.root_token)
            .json(&json!({
                "policies": ["cofferdam-host"], "no_default_policy": true, "no_parent": true,
                "type": "service", "ttl": "1h", "display_name": "aws", "meta": { "arn": arn },
            }))
            .send()
            .await?;
        Ok(made.json().await?)
    }

    fn credentials(&self, request: &Request) -> Vec<u8> {
        let known = lock(&self.container);
        match &*known {
            Some((token, key)) if request.header("authorization") == Some(token.as_bytes()) => {
                canned(
                    200,
                    &json!({
                        "AccessKeyId": key.id, "SecretAccessKey": key.secret,
                        "Token": key.session_token.as_deref().unwrap_or_default(),
                        "Expiration": "2099-01-01T00:00:00Z",
                    }),
                )
            }
            _ => canned(403, &json!({ "code": "AccessDenied" })),
        }
    }

    /// OpenBao's whole answer, byte for byte.
    async fn forward(&self, request: &Request) -> Result<Vec<u8>> {
        let bao = lock(&self.settings).bao;
        let mut server = TcpStream::connect(bao).await?;
        let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, request.target).into_bytes();
        for (name, value) in &request.headers {
            if !name.eq_ignore_ascii_case("connection") {
                bytes.extend_from_slice(name.as_bytes());
                bytes.extend_from_slice(b": ");
                bytes.extend_from_slice(value);
                bytes.extend_from_slice(b"\r\n");
            }
        }
        bytes.extend_from_slice(b"connection: close\r\n\r\n");
        bytes.extend_from_slice(&request.body);
        server.write_all(&bytes).await?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).await?;
        Ok(answer)
    }
}

/// A request to STS that Vault would send.
struct Signed {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Signed {
    /// What Vault checks before it asks STS; and the date, which STS checks and
    /// moto does not.
    fn checked(body: &[u8], settings: &Settings, now: u64) -> Result<Self> {
        let body: Map<String, Value> = serde_json::from_slice(body)?;
        let text = |name: &str| {
            let value = body.get(name).and_then(Value::as_str);
            value.with_context(|| format!("{name} is missing"))
        };
        let decoded = |name: &str| Ok::<_, anyhow::Error>(STANDARD.decode(text(name)?)?);
        anyhow::ensure!(text("role")? == settings.role, "there is no such role");
        anyhow::ensure!(
            text("iam_http_request_method")? == "POST",
            "only POST is taken"
        );
        let url = String::from_utf8(decoded("iam_request_url")?)?;
        anyhow::ensure!(url == settings.sts_endpoint, "{url} is not STS");
        let asked = decoded("iam_request_body")?;
        anyhow::ensure!(
            asked.starts_with(b"Action=GetCallerIdentity&"),
            "another question"
        );
        let headers: Map<String, Value> = serde_json::from_slice(&decoded("iam_request_headers")?)?;
        let mut given = Vec::new();
        for (name, values) in &headers {
            for value in values.as_array().context("not a list of values")? {
                let value = value.as_str().context("not a text")?;
                given.push((name.clone(), value.to_owned()));
            }
        }
        let header = |name: &str| {
            let found = given.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
            found
                .map(|(_, value)| value.as_str())
                .with_context(|| format!("{name} is missing"))
        };
        anyhow::ensure!(
            header(SERVER_ID)? == settings.server_id,
            "signed for another Vault"
        );
        let signed = header("Authorization")?
            .split_once("SignedHeaders=")
            .and_then(|(_, rest)| rest.split_once(','))
            .map(|(names, _)| names)
            .context("nothing is signed")?;
        anyhow::ensure!(
            signed
                .split(';')
                .any(|name| name == SERVER_ID.to_ascii_lowercase()),
            "the server's id is not signed"
        );
        let date = seconds(header("X-Amz-Date")?).context("no date")?;
        anyhow::ensure!(
            date.abs_diff(now) <= SKEW,
            "the signature is expired or not yet good"
        );
        Ok(Self {
            headers: given,
            body: asked,
        })
    }
}

/// `20150830T123600Z` in seconds since 1970.
fn seconds(date: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| date.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    // Years begin in March, so that a leap day is the last of its year.
    let (year, month) = match month {
        1 | 2 => (year.checked_sub(1)?, month + 9),
        _ => (year, month.checked_sub(3)?),
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    // Days from the first of March of year 0 to 1970.
    let days = days.checked_sub(719_469)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn canned(status: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read() {
        assert_eq!(seconds("19700101T000000Z"), Some(0));
        assert_eq!(seconds("20000229T010203Z"), Some(951_786_123));
        assert_eq!(seconds("20150830T123600Z"), Some(1_440_938_160));
        assert_eq!(seconds("yesterday"), None);
    }
}
