//! moto: users, keys, and STS.

use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Client;
use tempfile::TempDir;

use crate::process::{Guarded, dying_with_us, free_port, private_folder};
use crate::tools;

/// How long moto may take to answer; two seconds are usual.
const START_LIMIT: Duration = Duration::from_secs(60);

/// moto's only account.
const ACCOUNT: &str = "123456789012";

/// A key of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct AwsKey {
    /// Its name, which is no secret.
    pub id: String,
    /// What signs.
    pub secret: String,
    /// What a temporary one has besides.
    pub session_token: Option<String>,
}

/// The ARN of a user or a role.
pub(super) fn arn(principal: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{principal}")
}

/// Whom an answer of STS means, as Vault reads it: whoever has assumed a role
/// is that role.
pub(super) fn principal(arn: &str) -> String {
    let parts: Vec<&str> = arn.split([':', '/']).collect();
    match parts[..] {
        ["arn", _, "sts", _, account, "assumed-role", role, _] => {
            format!("arn:aws:iam::{account}:role/{role}")
        }
        _ => arn.to_owned(),
    }
}

/// A running moto.
pub(super) struct Cloud {
    // First, so that the process is gone before its folder.
    _process: Guarded,
    _folder: TempDir,
    address: String,
    client: Client,
}

impl Cloud {
    pub(super) async fn start() -> Result<Self> {
        let program = tools::moto()?;
        let folder = private_folder("moto")?;
        let port = free_port()?;
        let log = File::create(folder.path().join("moto.log"))?;
        let mut command = dying_with_us(program);
        command
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log);
        let cloud = Self {
            _process: Guarded::spawn(command)?,
            _folder: folder,
            address: format!("http://127.0.0.1:{port}"),
            client: super::gate::client()?,
        };
        let until = Instant::now() + START_LIMIT;
        let page = format!("{}/moto-api/data.json", cloud.address);
        while cloud.client.get(&page).send().await.is_err() {
            ensure!(Instant::now() < until, "moto does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(cloud)
    }

    pub(super) fn address(&self) -> String {
        self.address.clone()
    }

    pub(super) async fn user(&self, name: &str) -> Result<()> {
        match self
            .ask(&format!("Action=CreateUser&UserName={name}"))
            .await
        {
            Err(error) if error.to_string().contains("EntityAlreadyExists") => Ok(()),
            other => other.map(drop),
        }
    }

    pub(super) async fn key(&self, user: &str) -> Result<AwsKey> {
        let answer = self
            .ask(&format!("Action=CreateAccessKey&UserName={user}"))
            .await?;
        let part = |name: &str| element(&answer, name).map(str::to_owned);
        Ok(AwsKey {
            id: part("AccessKeyId").context("moto names no key")?,
            secret: part("SecretAccessKey").context("moto names no key")?,
            session_token: None,
        })
    }

    /// A temporary key of a role, which is made.
    pub(super) async fn assumed(&self, role: &str) -> Result<AwsKey> {
        let policy = "AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%7D";
        self.ask(&format!("Action=CreateRole&RoleName={role}&{policy}"))
            .await?;
        let arn = arn(&format!("role/{role}"));
        let asked = format!("Action=AssumeRole&RoleArn={arn}&RoleSessionName=session");
        let answer = self.ask_of("sts", "2011-06-15", &asked).await?;
        let part = |name: &str| {
            let found = element(&answer, name);
            found.map(str::to_owned).context("moto names no key")
        };
        Ok(AwsKey {
            id: part("AccessKeyId")?,
            secret: part("SecretAccessKey")?,
            session_token: Some(part("SessionToken")?),
        })
    }

    pub(super) async fn guard(&self) -> Result<()> {
        let page = format!("{}/moto-api/reset-auth", self.address);
        let status = self.client.post(page).body("0").send().await?.status();
        ensure!(status.is_success(), "moto answers {status} to reset-auth");
        Ok(())
    }

    async fn ask(&self, what: &str) -> Result<String> {
        self.ask_of("iam", "2010-05-08", what).await
    }

    /// moto finds the service in the scope of the signature, and looks at
    /// nothing else of it yet.
    async fn ask_of(&self, service: &str, version: &str, what: &str) -> Result<String> {
        let response = self
            .client
            .post(format!("{}/", self.address))
            .header("content-type", "application/x-www-form-urlencoded")
            .header(
                "authorization",
                format!(
                    "AWS4-HMAC-SHA256 Credential=setup/20200101/us-east-1/{service}/aws4_request, \
                     SignedHeaders=host, Signature=0"
                ),
            )
            .body(format!("{what}&Version={version}"))
            .send()
            .await
            .context("moto does not answer")?;
        let status = response.status();
        let text = response.text().await.context("moto's answer broke off")?;
        if !status.is_success() {
            bail!("moto answers {status} to {what}: {text}");
        }
        Ok(text)
    }
}

/// The text of the first element of this name.
pub(super) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}
