//! An identity provider for people, which OpenBao is itself, and the browser
//! of one of them.

use anyhow::{Context, Result, ensure};
use reqwest::Client;
use serde_json::{Value, json};
use url::Url;

use super::aws::client;
use crate::openbao::OpenBao;

/// What the provider's client and users are called.
const CLIENT: &str = "cofferdam";
/// The password of everybody.
const PASSWORD: &str = "correct-horse-battery";

/// A provider with a client for Vault's log-in.
pub struct People {
    address: String,
    client: Client,
    /// The client's id, which is the audience of the provider's tokens.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
}

/// A person's browser, in which the person is logged in to the provider.
pub struct Browser {
    address: String,
    client: Client,
    token: String,
}

/// Where the provider sends a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent {
    /// To this address, with a code.
    Back(Url),
    /// Nowhere: it says no.
    Nowhere(String),
}

impl People {
    /// Sets the provider up with the users `admitted`, whom the client's
    /// assignment names, and `strangers`, whom it does not.
    pub async fn set_up(
        bao: &OpenBao,
        redirect_uris: &[String],
        admitted: &[&str],
        strangers: &[&str],
    ) -> Result<Self> {
        must(bao, "POST", "sys/auth/people", json!({"type": "userpass"})).await?;
        let (_, mounts) = bao.root("GET", "sys/auth", None).await?;
        let accessor = mounts.pointer("/data/people~1/accessor");
        let accessor = accessor.context("no mount for people")?;
        let mut entities = Vec::new();
        for name in admitted.iter().chain(strangers) {
            let path = format!("auth/people/users/{name}");
            let body = json!({"password": PASSWORD, "token_policies": ["default"]});
            must(bao, "POST", &path, body).await?;
            let entity = must(bao, "POST", "identity/entity", json!({ "name": name })).await?;
            let id = entity.pointer("/data/id").context("no entity")?.clone();
            let body = json!({"name": name, "canonical_id": id, "mount_accessor": accessor});
            must(bao, "POST", "identity/entity-alias", body).await?;
            entities.push(id);
        }
        entities.truncate(admitted.len());
        let assignment = json!({ "entity_ids": entities });
        let path = "identity/oidc/assignment/operators";
        must(bao, "POST", path, assignment).await?;
        let key = json!({ "allowed_client_ids": ["*"] });
        must(bao, "POST", "identity/oidc/key/people", key).await?;
        let path = format!("identity/oidc/client/{CLIENT}");
        let body = json!({
            "redirect_uris": redirect_uris, "assignments": ["operators"], "key": "people",
        });
        must(bao, "POST", &path, body).await?;
        let (_, made) = bao.root("GET", &path, None).await?;
        let text = |name: &str| {
            let value = made.pointer(&format!("/data/{name}"));
            let value = value.and_then(Value::as_str);
            value.map(str::to_owned).context("no client")
        };
        let client_id = text("client_id")?;
        let body = json!({ "allowed_client_ids": [client_id] });
        must(bao, "POST", "identity/oidc/provider/people", body).await?;
        Ok(Self {
            address: bao.address(),
            client: client()?,
            client_secret: text("client_secret")?,
            client_id,
        })
    }

    /// The provider's address.
    pub fn issuer(&self) -> String {
        format!("{}/v1/identity/oidc/provider/people", self.address)
    }

    /// The browser of somebody who has just logged in to the provider.
    pub async fn browser(&self, person: &str) -> Result<Browser> {
        let address = format!("{}/v1/auth/people/login/{person}", self.address);
        let body = json!({ "password": PASSWORD });
        let answer: Value = self
            .client
            .post(address)
            .json(&body)
            .send()
            .await?
            .json()
            .await?;
        let token = answer.pointer("/auth/client_token").and_then(Value::as_str);
        Ok(Browser {
            address: self.address.clone(),
            client: self.client.clone(),
            token: token.context("the provider does not know them")?.to_owned(),
        })
    }
}

impl Browser {
    /// Opens the address that Vault gave, as the provider's page does it for a
    /// person who is logged in.
    pub async fn authorize(&self, address: &Url) -> Result<Sent> {
        ensure!(
            address.path() == "/ui/vault/identity/oidc/provider/people/authorize",
            "{address} is not the provider's"
        );
        let query = address.query().context("an empty question")?;
        let answer = self
            .client
            .get(format!(
                "{}/v1/identity/oidc/provider/people/authorize?{query}",
                self.address
            ))
            .header("x-vault-token", &self.token)
            .send()
            .await?;
        let status = answer.status();
        let body: Value = answer.json().await?;
        let part = |name: &str| body.get(name).and_then(Value::as_str);
        let (Some(code), Some(state)) = (part("code"), part("state")) else {
            return Ok(Sent::Nowhere(format!("{status}: {body}")));
        };
        let mut back = address.query_pairs().filter(|(n, _)| n == "redirect_uri");
        let (_, back) = back.next().context("nowhere to go back to")?;
        let mut back = Url::parse(&back)?;
        back.query_pairs_mut()
            .append_pair("code", code)
            .append_pair("state", state);
        Ok(Sent::Back(back))
    }

    /// Goes to an address and reads the page.
    pub async fn open(&self, address: &Url) -> Result<(u16, String)> {
        let page = self.client.get(address.clone()).send().await?;
        Ok((page.status().as_u16(), page.text().await?))
    }
}

async fn must(bao: &OpenBao, method: &str, path: &str, body: Value) -> Result<Value> {
    let (status, answer) = bao.root(method, path, Some(body)).await?;
    ensure!(
        (200..300).contains(&status),
        "OpenBao answered {status} to {path}: {answer}"
    );
    Ok(answer)
}
