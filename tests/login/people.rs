//! `cofferdam login`: OpenBao's own OIDC method, with OpenBao as the identity
//! provider; the test plays the browser.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStderr};
use std::time::{Duration, Instant};

use cofferdam::vault::VaultConfig;
use cofferdam_devkit::identity::{Browser, People, Sent};
use cofferdam_devkit::process::free_port;
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::world::Finished;
use serde_json::{Value, json};
use url::Url;

use super::command::{cofferdam, finished, settings};
use super::host::Host;
use crate::guide::section;
use crate::vault::world::{open, refused};

const TITLE: &str = "OIDC, for people";

/// A server set up as the page says, with Ada, who may, and Bob, who may not.
async fn host() -> (Host, People, VaultConfig) {
    let host = Host::start().await;
    let back = ["http://localhost:8250/oidc/callback".to_owned()];
    let people = People::set_up(&host.bao, &back, &["ada"], &["bob"])
        .await
        .unwrap();
    host.write("client-secret", &people.client_secret);
    let issuer = people.issuer();
    let named = [
        ("ISSUER_URL", issuer.as_str()),
        ("CLIENT_ID", people.client_id.as_str()),
    ];
    let config = host.follow_with(TITLE, &named);
    settings(&host, &section(TITLE).settings[0]);
    (host, people, config)
}

#[tokio::test]
async fn the_desktops_browser_is_opened_with_the_address() {
    let (host, people, _) = host().await;
    let script = host.write("xdg-open", "#!/bin/sh\necho \"$1\" > opened\n");
    std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let port = free_port().unwrap().to_string();
    let mut login = cofferdam(&host, &["login", "--port", &port]);
    let path = format!("{}:/usr/bin:/bin", host.folder.path().display());
    let child = login.env("PATH", path).spawn().unwrap();
    let opened = host.folder.path().join("opened");
    crate::common::until("the browser", || {
        std::fs::read_to_string(&opened).is_ok_and(|text| text.ends_with('\n'))
    });
    let address = std::fs::read_to_string(&opened).unwrap();
    let ada = people.browser("ada").await.unwrap();
    match ada.authorize(&Url::parse(address.trim()).unwrap()).await {
        Ok(Sent::Back(address)) => assert_eq!(ada.open(&address).await.unwrap().0, 200),
        other => panic!("{other:?}"),
    }
    let finished = crate::common::ended(child);
    assert_eq!(finished.code, 0, "{finished:?}");
    assert!(
        finished.stderr.contains("logged in; the token is in"),
        "{finished:?}"
    );
    assert!(finished.stdout.is_empty());
}

/// A log-in that waits for its browser.
struct Waiting {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: Url,
    told: String,
}

impl Waiting {
    /// With a port of its own: tests run side by side.
    fn begin(host: &Host, more: &[&str]) -> Self {
        let port = free_port().unwrap().to_string();
        let mut arguments = vec!["--format", "json", "login", "--no-browser", "--port", &port];
        arguments.extend(more);
        let mut child = cofferdam(host, &arguments).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut told = String::new();
        stderr.read_line(&mut told).unwrap();
        let address = told
            .strip_prefix("log in here: ")
            .unwrap_or_else(|| panic!("{told}"));
        Self {
            address: Url::parse(address.trim()).unwrap(),
            child,
            stderr,
            told,
        }
    }

    fn ends(mut self) -> Finished {
        self.stderr.read_to_string(&mut self.told).unwrap();
        let mut finished = Finished::of(self.child.wait_with_output().unwrap()).unwrap();
        finished.stderr = self.told;
        finished
    }
}

async fn back(browser: &Browser, waiting: &Waiting) -> Url {
    match browser.authorize(&waiting.address).await.unwrap() {
        Sent::Back(address) => address,
        Sent::Nowhere(said) => panic!("{said}"),
    }
}

fn changed(address: &Url, name: &str, value: &str) -> Url {
    let pairs: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    let mut other = address.clone();
    other
        .query_pairs_mut()
        .clear()
        .extend_pairs(pairs.iter().map(|(known, was)| {
            let now = if known == name { value } else { was };
            (known.as_str(), now)
        }));
    other
}

/// It ended with a refusal, no token came to be, and no file.
async fn is_refused(host: &Host, finished: &Finished, word: &str) {
    assert_eq!(finished.code, 3, "{finished:?}");
    assert!(finished.stderr.contains(word), "{finished:?}");
    assert!(!host.folder.path().join("token").exists());
    assert!(hosts(host).await.is_empty());
}

/// The living tokens that could carry attempts.
async fn hosts(host: &Host) -> Vec<String> {
    let living = host.bao.living().await.unwrap();
    let ours = living
        .into_iter()
        .filter(|token| token.policies == ["cofferdam-host"]);
    ours.map(|token| token.accessor).collect()
}

#[tokio::test]
async fn a_person_logs_in_runs_and_logs_out_as_the_page_says() {
    let (host, people, config) = host().await;
    let waiting = Waiting::begin(&host, &[]);
    let ada = people.browser("ada").await.unwrap();
    let address = back(&ada, &waiting).await;
    let (status, page) = ada.open(&address).await.unwrap();
    assert_eq!(
        (status, page.as_str()),
        (200, "You are logged in. You can close this page.")
    );
    // Nobody listens any more.
    let finished = waiting.ends();
    assert!(ada.open(&address).await.is_err());

    assert_eq!(finished.code, 0, "{finished:?}");
    let report = finished.report().unwrap();
    assert_eq!(report["outcome"], json!("logged_in"));
    assert!((28_000..=28_800).contains(&report["expires_in"].as_u64().unwrap()));
    let file = host.folder.path().join("token");
    let token = std::fs::read_to_string(&file).unwrap();
    let token = token.trim();
    let code = address.query_pairs().find(|(name, _)| name == "code");
    let code = code.unwrap().1.into_owned();
    for secret in [token, code.as_str()] {
        let shown = format!("{finished:?}{page}");
        assert!(!shown.contains(secret), "{shown}");
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o600);

    // The host takes it from there, and leaves it alive.
    let vault = host.vault(&config);
    assert!(open(&vault, "one").await.close().await.complete);
    assert!(vault.close().await.is_none());
    assert_eq!(hosts(&host).await.len(), 1);

    let out = finished_with(&host, &["--format", "json", "login", "--revoke"]);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(out.report().unwrap()["outcome"], json!("revoked"));
    assert!(hosts(&host).await.is_empty() && !file.exists());
    let out = finished_with(&host, &["login", "--revoke"]);
    assert_eq!(out.code, 2, "there is nothing to end: {out:?}");
}

fn finished_with(host: &Host, arguments: &[&str]) -> Finished {
    finished(cofferdam(host, arguments))
}

#[tokio::test]
async fn only_the_browser_of_this_very_log_in_is_listened_to() {
    let (host, people, _) = host().await;
    let waiting = Waiting::begin(&host, &[]);
    let ada = people.browser("ada").await.unwrap();
    let good = back(&ada, &waiting).await;

    // Somebody else's log-in, another page, another verb: sent away, and the
    // wait goes on.
    let forged = changed(&good, "state", "st_00000000000000000000");
    let (status, page) = ada.open(&forged).await.unwrap();
    assert_eq!(status, 400);
    assert!(page.contains("not the log-in"), "{page}");
    let mut elsewhere = good.clone();
    elsewhere.set_path("/favicon.ico");
    assert_eq!(ada.open(&elsewhere).await.unwrap().0, 404);
    // A connection that says nothing holds nobody up.
    let port = good.port().unwrap();
    let silent = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert!(hosts(&host).await.is_empty());

    assert_eq!(ada.open(&good).await.unwrap().0, 200);
    drop(silent);
    assert_eq!(waiting.ends().code, 0);
    assert_eq!(hosts(&host).await.len(), 1);
}

#[tokio::test]
async fn a_code_that_is_wrong_or_used_up_is_refused() {
    let (host, people, _) = host().await;
    let ada = people.browser("ada").await.unwrap();

    let waiting = Waiting::begin(&host, &[]);
    let good = back(&ada, &waiting).await;
    let (status, page) = ada
        .open(&changed(&good, "code", "0000000000000000"))
        .await
        .unwrap();
    assert_eq!(status, 403);
    assert!(page.contains("The terminal says why"), "{page}");
    is_refused(&host, &waiting.ends(), "used up or expired").await;

    // A code of another log-in of the same person: it is bound to its nonce.
    let first = Waiting::begin(&host, &[]);
    let second = Waiting::begin(&host, &[]);
    let stolen = back(&ada, &first).await;
    let code = stolen.query_pairs().find(|(name, _)| name == "code");
    let address = changed(&back(&ada, &second).await, "code", &code.unwrap().1);
    assert_eq!(ada.open(&address).await.unwrap().0, 403);
    is_refused(&host, &second.ends(), "used up or expired").await;
    // And it is worth nothing to its own log-in now.
    assert_eq!(ada.open(&stolen).await.unwrap().0, 403);
    is_refused(&host, &first.ends(), "used up or expired").await;
}

#[tokio::test]
async fn whoever_takes_the_code_from_the_browser_cannot_use_it() {
    let (host, people, _) = host().await;
    let ada = people.browser("ada").await.unwrap();
    let waiting = Waiting::begin(&host, &[]);
    let good = back(&ada, &waiting).await;
    // State and code, as the browser's history has them, without the nonce.
    let thief = Url::parse(&format!(
        "{}/v1/auth/oidc/oidc/callback?{}",
        host.bao.address(),
        good.query().unwrap()
    ));
    let (status, said) = ada.open(&thief.unwrap()).await.unwrap();
    assert_eq!(status, 400, "{said}");
    assert!(hosts(&host).await.is_empty());
    waiting.child_is_ended();
}

impl Waiting {
    fn child_is_ended(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_person_outside_the_assignment_gets_no_code() {
    let (host, people, _) = host().await;
    let bob = people.browser("bob").await.unwrap();
    let waiting = Waiting::begin(&host, &["--wait", "2s"]);
    match bob.authorize(&waiting.address).await.unwrap() {
        Sent::Nowhere(said) => assert!(said.contains("access_denied"), "{said}"),
        Sent::Back(address) => panic!("{address}"),
    }
    // So nobody comes back.
    let begun = Instant::now();
    let finished = waiting.ends();
    assert!(begun.elapsed() < Duration::from_secs(10));
    is_refused(
        &host,
        &finished,
        "nobody came back from the browser within 2s",
    )
    .await;
}

#[tokio::test]
async fn a_refusal_that_the_provider_sends_back_ends_the_wait() {
    let (host, people, _) = host().await;
    let ada = people.browser("ada").await.unwrap();
    let waiting = Waiting::begin(&host, &[]);
    let mut denied = back(&ada, &waiting).await;
    let state = denied.query_pairs().find(|(name, _)| name == "state");
    let state = state.unwrap().1.into_owned();
    denied
        .query_pairs_mut()
        .clear()
        .append_pair("error", "access_denied")
        .append_pair("error_description", "canary-of-the-provider")
        .append_pair("state", &state);
    assert_eq!(ada.open(&denied).await.unwrap().0, 403);
    let finished = waiting.ends();
    assert!(!finished.stderr.contains("canary"), "{finished:?}");
    is_refused(&host, &finished, "the identity provider refuses").await;
}

async fn role(host: &Host, change: Value) {
    let path = "auth/oidc/role/cofferdam-host";
    let (_, role) = host.bao.root("GET", path, None).await.unwrap();
    let mut role = role["data"].as_object().unwrap().clone();
    role.extend(change.as_object().unwrap().clone());
    let (status, said) = host
        .bao
        .root("POST", path, Some(Value::Object(role)))
        .await
        .unwrap();
    assert!((200..300).contains(&status), "{said}");
}

#[tokio::test]
async fn another_audience_is_refused() {
    let (host, people, _) = host().await;
    let ada = people.browser("ada").await.unwrap();
    role(&host, json!({"bound_audiences": ["somebody-else"]})).await;
    let waiting = Waiting::begin(&host, &[]);
    let address = back(&ada, &waiting).await;
    assert_eq!(ada.open(&address).await.unwrap().0, 403);
    is_refused(&host, &waiting.ends(), "another audience").await;
}

#[tokio::test]
async fn claims_that_the_role_is_not_bound_to_are_refused() {
    let (host, people, _) = host().await;
    let ada = people.browser("ada").await.unwrap();
    role(&host, json!({"bound_subject": "somebody-else"})).await;
    let waiting = Waiting::begin(&host, &[]);
    let address = back(&ada, &waiting).await;
    assert_eq!(ada.open(&address).await.unwrap().0, 403);
    is_refused(&host, &waiting.ends(), "other claims").await;
}

#[tokio::test]
async fn a_redirect_uri_or_a_role_that_vault_does_not_know_is_told_before_any_browser() {
    let (host, _, _) = host().await;
    let told = |more: &[&str]| {
        let port = free_port().unwrap().to_string();
        let mut arguments = vec!["login", "--no-browser", "--port", &port];
        arguments.extend(more);
        finished_with(&host, &arguments)
    };
    let finished = told(&["--role", "nobody"]);
    is_refused(&host, &finished, "there is no such role").await;
    let other = "https://vault.example.com/ui/vault/auth/oidc/oidc/callback";
    role(&host, json!({"allowed_redirect_uris": [other]})).await;
    let finished = told(&[]);
    is_refused(&host, &finished, "allowed_redirect_uris").await;
    assert!(!finished.stderr.contains("log in here"), "{finished:?}");
}

#[tokio::test]
async fn a_taken_port_and_a_file_that_cannot_be_written_are_told_before_vault_is_asked() {
    let (host, _, _) = host().await;
    let before = host.bao.answers().unwrap().len();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let finished = finished_with(&host, &["login", "--no-browser", "--port", &port]);
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(
        finished
            .stderr
            .contains(&format!("port {port} of 127.0.0.1 cannot be listened on")),
        "{finished:?}"
    );
    let finished = finished_with(
        &host,
        &["login", "--no-browser", "--token-file", "none/token"],
    );
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("none/token"), "{finished:?}");
    assert_eq!(host.bao.answers().unwrap().len(), before);
}

#[tokio::test]
async fn a_token_that_cannot_be_put_away_is_revoked() {
    let (host, people, _) = host().await;
    let ada = people.browser("ada").await.unwrap();
    let waiting = Waiting::begin(&host, &[]);
    // The place is taken between the two.
    std::fs::create_dir(host.folder.path().join("token")).unwrap();
    let address = back(&ada, &waiting).await;
    assert_eq!(ada.open(&address).await.unwrap().0, 403);
    let finished = waiting.ends();
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(hosts(&host).await.is_empty());
    let made = host.bao.tokens_made("auth/oidc/oidc/callback").unwrap();
    assert_eq!(made, 1, "there was one");
}

#[tokio::test]
async fn a_log_out_that_vault_does_not_confirm_keeps_the_file() {
    let mut host = Host::start().await;
    host.follow("Token file");
    let proxy = Proxy::start(host.bao.socket()).unwrap();
    host.common = format!("address = {:?}\ntimeout = \"2s\"\n", proxy.address());
    settings(&host, &section("Token file").settings[0]);
    let down = proxy.inject(Rule::on("POST", "revoke-self", Fault::NeverAnswer));
    let out = finished_with(&host, &["login", "--revoke"]);
    assert_eq!(out.code, 4, "{out:?}");
    assert!(down.hits() >= 1);
    assert_eq!(hosts(&host).await.len(), 1);
    drop(down);

    // A dead token is no refusal: there is nothing left to end.
    let body = json!({"accessor": hosts(&host).await[0]});
    let path = "auth/token/revoke-accessor";
    host.bao.root("POST", path, Some(body)).await.unwrap();
    let config = host.config(&section("Token file").settings[0]);
    refused(&host.vault(&config), "one").await;
    let out = finished_with(&host, &["login", "--revoke"]);
    assert_eq!(out.code, 0, "{out:?}");
    assert!(out.stderr.contains("dead already"), "{out:?}");
    assert!(!host.folder.path().join("token").exists());
}
