//! AWS IAM, against a stand-in: moto verifies the signatures.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cofferdam_devkit::clock::Skew;
use cofferdam_devkit::identity::{Aws, AwsKey};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::{Finished, World};
use serde_json::{Value, json};

use crate::common::{api, get, install, nobody_lives, world};
use crate::guide::section;

const SERVER_ID: &str = "vault.example.com";
const STS: &str = "https://sts.eu-central-1.amazonaws.com/";

/// A world whose host logs in as the AWS user `worker-7`.
struct Site {
    world: World,
    aws: Aws,
    key: AwsKey,
    stranger: AwsKey,
    temporary: AwsKey,
    _upstream: Upstream,
}

impl Site {
    async fn start() -> Self {
        let world = world().await;
        let upstream = Upstream::start().unwrap();
        install(&world, "caller", "probe-http", &api(&upstream.address()));
        let bao = world.bao().unwrap();
        let aws = Aws::start(bao, "cofferdam-host", "worker-7", SERVER_ID, STS)
            .await
            .unwrap();
        let key = aws.key("worker-7").await.unwrap();
        let stranger = aws.key("worker-8").await.unwrap();
        let temporary = aws.assumed("worker").await.unwrap();
        aws.guard().await.unwrap();
        let site = Self {
            world,
            aws,
            key,
            stranger,
            temporary,
            _upstream: upstream,
        };
        site.settings(|block| block);
        site
    }

    /// The page's settings, changed, with the stand-in's address.
    fn settings(&self, change: impl FnOnce(String) -> String) {
        let block = change(section("AWS IAM").settings[0].clone());
        let address = self.aws.address();
        let text = format!("[vault]\naddress = {address:?}\n\n{block}");
        self.world.write("cofferdam.toml", &text).unwrap();
    }

    fn run(&self, environment: &[(&str, &str)]) -> Finished {
        let run = self.world.run("caller").input(get("status/200"));
        // AWS's own library logs what it sends at this level.
        let run = run.arg("--log-level").arg("trace");
        let mut command = run.command();
        // Nothing is asked of a metadata service that this machine may have.
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(environment.iter().copied());
        let finished = Finished::of(command.output().unwrap()).unwrap();
        let token = self.temporary.session_token.as_ref().unwrap();
        for secret in [
            &self.key.secret,
            &self.stranger.secret,
            &self.temporary.secret,
            token,
        ] {
            assert!(!format!("{finished:?}").contains(secret.as_str()));
        }
        finished
    }

    fn run_as(&self, key: &AwsKey) -> Finished {
        let mut environment = vec![
            ("AWS_ACCESS_KEY_ID", key.id.as_str()),
            ("AWS_SECRET_ACCESS_KEY", key.secret.as_str()),
        ];
        if let Some(token) = &key.session_token {
            environment.push(("AWS_SESSION_TOKEN", token.as_str()));
        }
        self.run(&environment)
    }

    async fn logs_in(&self, environment: &[(&str, &str)]) {
        let finished = self.run(environment);
        assert_eq!(finished.code, 0, "{finished:?}");
        nobody_lives(self.world.bao().unwrap()).await;
    }

    async fn refuses(&self, finished: &Finished, code: i32, word: &str) {
        assert_eq!(finished.code, code, "{finished:?}");
        let outcome = &finished.report().unwrap()["outcome"];
        let text = format!("{} | {}", outcome["message"], outcome["hint"]);
        assert!(text.contains(word), "{text}");
        nobody_lives(self.world.bao().unwrap()).await;
    }
}

const REFUSED: &str = "AWS does not know the signature";

#[tokio::test]
async fn aws_credentials_are_found_where_the_tools_of_aws_find_them() {
    let site = Site::start().await;
    let key = &site.key;
    // The environment.
    let finished = site.run_as(key);
    assert_eq!(finished.code, 0, "{finished:?}");
    // A profile in the shared file.
    let profile = format!(
        "[workers]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        key.id, key.secret
    );
    site.world.write("aws-credentials", &profile).unwrap();
    let file = site.world.path("aws-credentials");
    let file = file.to_str().unwrap();
    site.logs_in(&[
        ("AWS_SHARED_CREDENTIALS_FILE", file),
        ("AWS_PROFILE", "workers"),
    ])
    .await;
    // A program that a profile names.
    let answer = json!({
        "Version": 1, "AccessKeyId": key.id, "SecretAccessKey": key.secret,
    });
    site.world
        .write("answer.json", &answer.to_string())
        .unwrap();
    let profile = format!(
        "[default]\ncredential_process = /bin/cat {}\n",
        site.world.path("answer.json").display()
    );
    site.world.write("aws-config", &profile).unwrap();
    let file = site.world.path("aws-config");
    site.logs_in(&[("AWS_CONFIG_FILE", file.to_str().unwrap())])
        .await;
    // The container's endpoint, over our own HTTP client: a role's temporary
    // key, whose session token is signed along.
    site.aws.bind("role/worker");
    let address = site.aws.container("container-token-1", &site.temporary);
    site.logs_in(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &address),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token-1"),
    ])
    .await;
    assert_eq!(site.aws.log_ins().len(), 4);
}

#[tokio::test]
async fn aws_credentials_that_are_missing_or_broken_are_told_before_vault_is_asked() {
    let site = Site::start().await;
    let finished = site.run(&[]);
    site.refuses(&finished, 2, "no credentials for AWS: there are none")
        .await;
    let address = site.aws.container("container-token-1", &site.key);
    let finished = site.run(&[
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &address),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "another-token"),
    ]);
    site.refuses(&finished, 2, "failed or refused").await;
    assert!(!format!("{finished:?}").contains("another-token"));
    assert!(site.aws.log_ins().is_empty());
}

#[tokio::test]
async fn aws_refuses_each_that_is_not_the_one() {
    let site = Site::start().await;
    let finished = site.run_as(&site.key);
    assert_eq!(finished.code, 0, "{finished:?}");

    // Its last letter is another one, whichever it was.
    let mut secret = site.key.secret.clone();
    let last = match secret.pop() {
        Some('x') => 'y',
        _ => 'x',
    };
    secret.push(last);
    assert_ne!(secret, site.key.secret);
    let wrong = AwsKey {
        secret,
        ..site.key.clone()
    };
    site.refuses(&site.run_as(&wrong), 3, REFUSED).await;
    let unknown = AwsKey {
        id: "AKIAUNKNOWNUNKNOWN00".to_owned(),
        ..site.key.clone()
    };
    site.refuses(&site.run_as(&unknown), 3, REFUSED).await;
    // Good credentials of somebody else.
    site.refuses(&site.run_as(&site.stranger), 3, "bound to another ARN")
        .await;
    site.aws.bind("user/worker-8");
    site.refuses(&site.run_as(&site.key), 3, REFUSED).await;
    site.aws.bind("user/worker-7");
    // A temporary key whose session token is another one, or missing.
    site.aws.bind("role/worker");
    assert_eq!(site.run_as(&site.temporary).code, 0);
    for session_token in [None, Some("another-session-token".to_owned())] {
        let key = AwsKey {
            session_token,
            ..site.temporary.clone()
        };
        site.refuses(&site.run_as(&key), 3, REFUSED).await;
    }
    site.aws.bind("user/worker-7");
    // Another Vault's.
    site.aws.expect_server_id("other.example.com");
    site.refuses(&site.run_as(&site.key), 3, "server_id_header")
        .await;
    site.aws.expect_server_id(SERVER_ID);
    // Another role, another STS, another region's STS.
    let bad: [(&str, &str); 3] = [
        ("\"cofferdam-host\"", "\"other\""),
        (
            "region",
            "sts_endpoint = \"https://sts.example.com\"\nregion",
        ),
        ("eu-central-1", "eu-west-1"),
    ];
    for (from, to) in bad {
        site.settings(|block| block.replace(from, to));
        site.refuses(&site.run_as(&site.key), 3, REFUSED).await;
    }
    site.settings(|block| block);
    // Clocks that are hours apart, in both directions.
    site.aws.advance(Duration::from_secs(2 * 3600));
    site.refuses(&site.run_as(&site.key), 3, "a clock that is minutes off")
        .await;
    site.aws.advance(Duration::ZERO);
    assert_eq!(site.run_as(&site.key).code, 0);
    // Only this host's is off: it signs by Vault's clock.
    let skew = Skew::new().unwrap();
    for seconds in [7_200, -7_200] {
        let off = skew.environment(seconds);
        let mut environment: Vec<_> = off
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        environment.push(("AWS_ACCESS_KEY_ID", &site.key.id));
        environment.push(("AWS_SECRET_ACCESS_KEY", &site.key.secret));
        let finished = site.run(&environment);
        assert_eq!(finished.code, 0, "{finished:?}");
        assert!(
            finished.stderr.contains("this host's clock is"),
            "{finished:?}"
        );
    }
}

/// A stand-in that does not look would prove nothing.
#[tokio::test]
async fn a_log_in_that_was_tampered_with_is_refused_by_the_stand_in() {
    let site = Site::start().await;
    assert_eq!(site.run_as(&site.key).code, 0);
    let good: Value = serde_json::from_slice(&site.aws.log_ins()[0]).unwrap();
    let token = site.aws.show(&good).await.unwrap();
    assert!(token["auth"]["client_token"].is_string(), "{token}");
    let body = json!({"accessor": token["auth"]["accessor"]});
    let bao = site.world.bao().unwrap();
    bao.root("POST", "auth/token/revoke-accessor", Some(body))
        .await
        .unwrap();

    let decoded = |field: &str| {
        let text = good[field].as_str().unwrap();
        String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
    };
    let headers: Value = serde_json::from_str(&decoded("iam_request_headers")).unwrap();
    let with = |field: &str, text: &str| {
        let mut other = good.clone();
        other[field] = json!(STANDARD.encode(text));
        other
    };
    let without = |name: &str| {
        let mut other = headers.clone();
        other.as_object_mut().unwrap().remove(name).unwrap();
        with("iam_request_headers", &other.to_string())
    };
    let changed = |name: &str, value: &str| {
        let mut other = headers.clone();
        assert!(other[name].is_array(), "{headers}");
        other[name] = json!([value]);
        with("iam_request_headers", &other.to_string())
    };
    let asked = decoded("iam_request_body");
    for (fault, tampered, word) in [
        (
            "body",
            with("iam_request_body", &format!("{asked}&Extra=1")),
            "SignatureDoesNotMatch",
        ),
        (
            "no id of the server",
            without("X-Vault-AWS-IAM-Server-ID"),
            "is missing",
        ),
        (
            "another id of the server",
            changed("X-Vault-AWS-IAM-Server-ID", "other.example.com"),
            "another Vault",
        ),
        (
            "another host",
            changed("Host", "sts.us-east-1.amazonaws.com"),
            "STS answers",
        ),
        ("no signature", without("authorization"), "is missing"),
        (
            "an old date",
            changed("x-amz-date", "20200101T000000Z"),
            "expired",
        ),
        (
            "another question",
            with("iam_request_body", "Action=AssumeRole"),
            "another question",
        ),
    ] {
        let answer = site.aws.show(&tampered).await.unwrap();
        let told = answer["errors"].to_string();
        assert!(told.contains(word), "{fault}: {answer}");
    }
    nobody_lives(bao).await;
}
