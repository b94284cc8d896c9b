//! As much of a Kubernetes API server as Vault's log-in asks: the TokenReview
//! of authentication.k8s.io/v1. A stand-in, because no cluster runs here. It
//! knows exactly the tokens that it was told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::Issuer;
use super::issuer::now;
use crate::process::Background;
use crate::wire::{Request, read_request};

/// The id of every account.
const UID: &str = "5b1c3c1e-5f2c-4d4e-9c57-0a1d4f9f7f01";

/// A pod's account that the cluster vouches for.
#[derive(Debug, Clone)]
struct Account {
    token: String,
    namespace: String,
    name: String,
    audience: String,
}

type Accounts = Arc<Mutex<Vec<Account>>>;

/// A running cluster; dropping it stops it.
#[derive(Debug)]
pub struct Cluster {
    address: SocketAddr,
    accounts: Accounts,
    _background: Background,
}

impl Cluster {
    /// Listens on a free port of 127.0.0.1; reviews only for who shows this
    /// bearer token.
    pub fn start(reviewer: &str) -> Result<Self> {
        let accounts = Accounts::default();
        let for_thread = Arc::clone(&accounts);
        let bearer = format!("Bearer {reviewer}");
        let (address, background) =
            Background::listen(move |listener| accept(listener, for_thread, bearer))?;
        Ok(Self {
            address,
            accounts,
            _background: background,
        })
    }

    /// The address, `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A pod's token for an audience, with the claims that the kubelet's have.
    pub fn token(issuer: &Issuer, namespace: &str, name: &str, audience: &str) -> Result<String> {
        Self::token_of(issuer, namespace, name, audience, now()?)
    }

    /// One that is good for an hour from then on.
    fn token_of(
        issuer: &Issuer,
        namespace: &str,
        name: &str,
        audience: &str,
        then: u64,
    ) -> Result<String> {
        issuer.sign(&json!({
            "iss": "https://kubernetes.default.svc",
            "aud": [audience],
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
            "iat": then, "nbf": then, "exp": then + 3600,
            "kubernetes.io": {
                "namespace": namespace,
                "serviceaccount": { "name": name, "uid": UID },
            },
        }))
    }

    /// Makes such a token, and says so when it is asked.
    pub fn vouch(
        &self,
        issuer: &Issuer,
        namespace: &str,
        name: &str,
        audience: &str,
    ) -> Result<String> {
        self.know(
            Self::token(issuer, namespace, name, audience)?,
            namespace,
            name,
            audience,
        )
    }

    /// The same with a token that ended an hour ago.
    pub fn vouch_expired(
        &self,
        issuer: &Issuer,
        namespace: &str,
        name: &str,
        audience: &str,
    ) -> Result<String> {
        let then = now()? - 2 * 3600;
        let token = Self::token_of(issuer, namespace, name, audience, then)?;
        self.know(token, namespace, name, audience)
    }

    fn know(&self, token: String, namespace: &str, name: &str, audience: &str) -> Result<String> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.push(Account {
            token: token.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            audience: audience.to_owned(),
        });
        Ok(token)
    }
}

async fn accept(listener: TcpListener, accounts: Accounts, bearer: String) {
    while let Ok((client, _)) = listener.accept().await {
        let (accounts, bearer) = (Arc::clone(&accounts), bearer.clone());
        tokio::spawn(async move { serve(client, &accounts, &bearer).await });
    }
}

async fn serve(mut client: TcpStream, accounts: &Accounts, bearer: &str) -> std::io::Result<()> {
    let Some(request) = read_request(&mut client).await? else {
        return Ok(());
    };
    let (status, body) = answer(&request, accounts, bearer);
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await?;
    client.write_all(body.as_bytes()).await?;
    client.shutdown().await
}

fn answer(request: &Request, accounts: &Accounts, bearer: &str) -> (u16, Value) {
    if request.header("authorization") != Some(bearer.as_bytes()) {
        return (
            401,
            json!({"kind": "Status", "status": "Failure", "code": 401}),
        );
    }
    if request.path() != "/apis/authentication.k8s.io/v1/tokenreviews" {
        return (
            404,
            json!({"kind": "Status", "status": "Failure", "code": 404}),
        );
    }
    let review: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let token = review.pointer("/spec/token").and_then(Value::as_str);
    let accounts = accounts.lock().unwrap_or_else(PoisonError::into_inner);
    let known = accounts.iter().find(|known| Some(&*known.token) == token);
    let wanted = review.pointer("/spec/audiences").and_then(Value::as_array);
    let status = match known {
        Some(known) if wanted.is_none_or(|wanted| wanted.contains(&json!(known.audience))) => {
            json!({
                "authenticated": true,
                "audiences": [known.audience],
                "user": {
                    "username": format!("system:serviceaccount:{}:{}", known.namespace, known.name),
                    "uid": UID,
                    "groups": ["system:serviceaccounts"],
                },
            })
        }
        _ => json!({"authenticated": false, "error": "unknown token"}),
    };
    (
        201,
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}),
    )
}
