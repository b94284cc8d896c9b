//! Questions asked with the root token.

use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, Method};
use serde_json::Value;

/// A root client. No `Debug`: it holds a token.
pub(super) struct Root {
    client: Client,
    address: String,
    token: String,
}

impl Root {
    pub(super) fn new(address: String, token: String) -> Result<Self> {
        // Fails only when one is installed already, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .no_proxy()
            // Each test has its own runtime; a pooled connection would belong
            // to one that is gone.
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(30))
            // Plain http on loopback needs no root certificates.
            .tls_certs_only([])
            .build()
            .context("cannot make an HTTP client")?;
        Ok(Self {
            client,
            address,
            token,
        })
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        wrap_ttl: Option<&str>,
    ) -> Result<(u16, Value)> {
        let method = Method::from_bytes(method.as_bytes()).context("not an HTTP method")?;
        let mut request = self
            .client
            .request(method, format!("{}/v1/{path}", self.address))
            .header("x-vault-token", &self.token);
        if let Some(ttl) = wrap_ttl {
            request = request.header("x-vault-wrap-ttl", ttl);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.context("OpenBao does not answer")?;
        let status = response.status().as_u16();
        let bytes = response
            .bytes()
            .await
            .context("OpenBao's answer broke off")?;
        if bytes.is_empty() {
            return Ok((status, Value::Null));
        }
        let body = serde_json::from_slice(&bytes).context("OpenBao's answer is not JSON")?;
        Ok((status, body))
    }
}
