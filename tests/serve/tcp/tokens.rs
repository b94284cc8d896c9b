//! Callers with a token.

use serde_json::json;

use super::super::stage::{refusal, report, result, submission};
use super::signer::{
    AUDIENCE, ISSUER, Signer, base64, but, claims, from_now, key_set, unsigned, with_secret,
};
use super::site::{SUBJECT, Site, ask, jwt};
use crate::common::SOON;

#[tokio::test]
async fn a_token_gets_a_run_through_and_the_audit_names_its_subject() {
    let signer = Signer::new("one");
    let site = Site::start(&jwt("keys.json"), &[("keys.json", &key_set(&[&signer]))]).await;
    let client = site.bearer("token", &signer.token(&claims(SUBJECT)));
    let hello = submission("hello", json!({ "name": "Ada" }));
    let taken = client.submit("k", &hello).await.unwrap();
    let view = client.run(taken.view.run, 60).await.unwrap();
    assert!(result(&report(&view)).to_string().contains("Ada"));
    let told = json!({ "via": "token", "issuer": ISSUER, "subject": SUBJECT });
    assert_eq!(site.callers(), [told]);
    // A token that was renewed meanwhile is taken from its file.
    site.stage.world.write("token", "no-token-at-all").unwrap();
    client.tasks().await.unwrap_err();
    let renewed = signer.token(&but(SUBJECT, "jti", json!("2")));
    site.stage.world.write("token", &renewed).unwrap();
    client.tasks().await.unwrap();
}

#[tokio::test]
async fn every_algorithm_with_a_key_of_two_halves_is_taken() {
    let signers = Signer::all();
    let all: Vec<&Signer> = signers.iter().collect();
    let site = Site::start(&jwt("keys.json"), &[("keys.json", &key_set(&all))]).await;
    let mut taken = 0;
    for signer in all {
        for algorithm in signer.algorithms() {
            let header = json!({ "alg": algorithm, "kid": signer.kid });
            let token = signer.sign(&header, &claims(SUBJECT));
            assert_eq!(site.status(&token).await, 200, "{algorithm}");
            let other = signer.sign(&header, &claims("other"));
            let (head, _) = token.rsplit_once('.').unwrap();
            let (_, signature) = other.rsplit_once('.').unwrap();
            assert_eq!(site.status(&format!("{head}.{signature}")).await, 401);
            taken += 1;
        }
    }
    assert_eq!(taken, 9);
}

#[tokio::test]
async fn a_bad_token_is_refused_whatever_is_bad_in_it() {
    let signers = Signer::all();
    let all: Vec<&Signer> = signers.iter().collect();
    let site = Site::start(&jwt("keys.json"), &[("keys.json", &key_set(&all))]).await;
    let [p256, _, ed, rsa] = &signers;
    let good = claims(SUBJECT);
    let with = |claim: &str, value| p256.token(&but(SUBJECT, claim, value));
    let whole = p256.token(&good);
    let parts: Vec<&str> = whole.split('.').collect();
    let head = |header: serde_json::Value| p256.sign(&header, &good);
    let cases = [
        ("nothing", String::new()),
        ("no JWT", "x".to_owned()),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{whole}.{}", parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("expired", with("exp", json!(from_now(-60)))),
        ("without an end", with("exp", json!(null))),
        (
            "an end that is text",
            with("exp", json!(from_now(60).to_string())),
        ),
        ("not yet valid", with("nbf", json!(from_now(600)))),
        ("of the future", with("iat", json!(from_now(600)))),
        ("another audience", with("aud", json!("others"))),
        (
            "an audience's beginning",
            with("aud", json!(&AUDIENCE[..5])),
        ),
        ("other audiences", with("aud", json!(["a", "b"]))),
        ("no audience", with("aud", json!(null))),
        (
            "another issuer",
            with("iss", json!("https://login.example.org")),
        ),
        ("an issuer's like", with("iss", json!(format!("{ISSUER}/")))),
        ("a list of issuers", with("iss", json!([ISSUER]))),
        ("no issuer", with("iss", json!(null))),
        ("no subject", with("sub", json!(null))),
        ("an empty subject", with("sub", json!(""))),
        ("a number", with("sub", json!(7))),
        ("a long subject", with("sub", json!("x".repeat(256)))),
        ("control characters", with("sub", json!("system:\nroot"))),
        ("nobody's", unsigned("none", &good)),
        ("nobody's, written otherwise", unsigned("nOnE", &good)),
        (
            "signed with the public key",
            with_secret(&p256.kid, &p256.public_bytes(), &good),
        ),
        (
            "the same with RSA",
            with_secret(&rsa.kid, &rsa.public_bytes(), &good),
        ),
        (
            "the same with its JSON",
            with_secret(&ed.kid, ed.jwk().to_string().as_bytes(), &good),
        ),
        ("with an empty secret", with_secret(&p256.kid, b"", &good)),
        (
            "an unknown key",
            head(json!({ "alg": "ES256", "kid": "other" })),
        ),
        ("no key of four", head(json!({ "alg": "ES256" }))),
        ("another's key", Signer::new("p256").token(&good)),
        (
            "a name and another's key",
            head(json!({ "alg": "ES256", "kid": "rsa" })),
        ),
        (
            "another algorithm",
            head(json!({ "alg": "ES384", "kid": "p256" })),
        ),
        (
            "an unknown algorithm",
            head(json!({ "alg": "ES512", "kid": "p256" })),
        ),
        (
            "a key of its own",
            Signer::new("p256").sign(
                &json!({ "alg": "ES256", "kid": "p256", "jwk": p256.jwk(), "jku": "https://x/" }),
                &good,
            ),
        ),
        (
            "what must be understood",
            head(json!({ "alg": "ES256", "kid": "p256", "crit": ["b64"], "b64": false })),
        ),
        ("too long", with("more", json!("x".repeat(8 << 10)))),
        ("more behind it", format!("{whole} {whole}")),
        ("claims that are none", {
            let text = format!("{}.{}", parts[0], base64("[]"));
            format!("{text}.{}", parts[2])
        }),
    ];
    assert_eq!(site.status(&whole).await, 200, "the right one");
    let none = site.ask(None, "/v1/tasks", "").await.unwrap();
    assert_eq!(none.0, 401);
    assert!(
        none.1
            .contains("www-authenticate: Bearer realm=\"cofferdam\"\r\n"),
        "{}",
        none.1
    );
    let mut told = std::collections::BTreeSet::new();
    for (what, token) in &cases {
        let header = format!("authorization: Bearer {token}\r\n");
        let (status, head, problem) = site.ask(None, "/v1/tasks", &header).await.unwrap();
        assert_eq!(status, 401, "{what}: {problem}");
        let challenge = "www-authenticate: Bearer realm=\"cofferdam\", error=\"invalid_token\"\r\n";
        assert!(head.contains(challenge), "{what}: {head}");
        assert!(head.contains("application/problem+json"), "{what}: {head}");
        told.insert(problem.to_string());
    }
    assert_eq!(told.len(), 1, "what is wrong is told: {told:?}");
    let twice = format!("authorization: Bearer {whole}\r\n").repeat(2);
    for headers in [
        twice,
        format!("authorization: Bearer {whole}\r\nauthorization: Basic eDp5\r\n"),
        format!("authorization: {whole}\r\n"),
        format!("authorization: Token {whole}\r\n"),
        format!("authorization: Bearer  {whole}\r\n"),
    ] {
        assert_eq!(site.ask(None, "/v1/tasks", &headers).await.unwrap().0, 401);
    }
    // Elsewhere a token is nothing.
    for headers in [
        format!("proxy-authorization: Bearer {whole}\r\n"),
        format!("cookie: authorization={whole}\r\n"),
    ] {
        assert_eq!(site.ask(None, "/v1/tasks", &headers).await.unwrap().0, 401);
    }
    let query = format!("/v1/tasks?access_token={whole}");
    assert_eq!(site.ask(None, &query, "").await.unwrap().0, 401);
    // Good, and named by no rule.
    assert_eq!(site.status(&p256.token(&claims("nobody"))).await, 403);
    // And what a real issuer does otherwise.
    for fine in [
        with("aud", json!(["others", AUDIENCE])),
        with("exp", json!(from_now(-5))),
        with("iat", json!(null)),
        with("nbf", json!(null)),
        p256.sign(
            &json!({ "alg": "ES256", "kid": "p256", "typ": "at+jwt" }),
            &good,
        ),
    ] {
        assert_eq!(site.status(&fine).await, 200);
    }
    assert!(site.callers().is_empty(), "nothing was run");
    // The reasons stand in the numbers, for whoever may read them.
    let header = format!("authorization: bearer {whole}\r\n");
    let (_, _, numbers) = site.ask(None, "/metrics", &header).await.unwrap();
    let numbers = numbers.as_str().unwrap();
    for reason in [
        "malformed",
        "too_long",
        "algorithm",
        "unknown_key",
        "signature",
        "expired",
        "not_yet_valid",
        "issuer",
        "audience",
        "claims",
    ] {
        let line = format!("cofferdam_tokens_refused_total{{reason=\"{reason}\"}}");
        assert!(numbers.contains(&line), "{reason}: {numbers}");
    }
}

#[tokio::test]
async fn limits_count_for_the_caller_whom_a_token_names() {
    let signer = Signer::new("one");
    let limits = "[server.limits]\nconnections_per_caller = 2\nsubmissions_per_second = 1\n";
    let ways = format!("{}{limits}", jwt("keys.json"));
    let site = Site::start(&ways, &[("keys.json", &key_set(&[&signer]))]).await;
    let bearer = |subject: &str| {
        let token = signer.token(&claims(subject));
        format!("authorization: Bearer {token}\r\n")
    };
    let (one, other) = (bearer(SUBJECT), bearer("cn:twin"));
    let mut held = Vec::new();
    for status in [200, 200, 429] {
        let mut stream = site.connect(None).await.unwrap();
        let (got, head, problem) = ask(&mut stream, "/v1/tasks", &one).await.unwrap();
        assert_eq!(got, status, "{problem}");
        assert_eq!(head.contains("retry-after: 1\r\n"), status == 429, "{head}");
        held.push(stream);
    }
    // A connection that was counted for him is his for every request.
    assert_eq!(ask(&mut held[0], "/v1/tasks", &one).await.unwrap().0, 200);
    let status = |headers: String| {
        let site = &site;
        async move { site.ask(None, "/v1/tasks", &headers).await.unwrap().0 }
    };
    assert_eq!(status(other.clone()).await, 200, "another caller");
    drop(held);
    // The numbers name his limit, and not that of all connections.
    let (_, _, numbers) = site.ask(None, "/metrics", &other).await.unwrap();
    let numbers = numbers.as_str().unwrap();
    let hit = |limit: &str| numbers.contains(&format!("{{limit=\"server.limits.{limit}\"}}"));
    assert!(hit("connections_per_caller"), "{numbers}");
    assert!(!hit("connections"), "{numbers}");
    let begun = std::time::Instant::now();
    while status(one.clone()).await != 200 {
        assert!(begun.elapsed() < SOON, "they are not counted down");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let client = site.bearer("token", &signer.token(&claims(SUBJECT)));
    let hello = submission("hello", json!({ "name": "Ada" }));
    client.submit("a", &hello).await.unwrap();
    let (status, kind, _) = refusal(client.submit("b", &hello).await);
    assert_eq!((status, kind.as_str()), (429, "too-many-requests"));
}

#[tokio::test]
async fn a_connection_of_refused_tokens_is_ended() {
    let signer = Signer::new("one");
    let site = Site::start(&jwt("keys.json"), &[("keys.json", &key_set(&[&signer]))]).await;
    let good = format!(
        "authorization: Bearer {}\r\n",
        signer.token(&claims(SUBJECT))
    );
    let mut stream = site.connect(None).await.unwrap();
    for _ in 0..7 {
        let bad = ask(&mut stream, "/v1/tasks", "authorization: Bearer x\r\n").await;
        assert_eq!(bad.unwrap().0, 401);
    }
    // So far it is as good as any.
    assert_eq!(ask(&mut stream, "/v1/tasks", &good).await.unwrap().0, 200);
    let last = ask(&mut stream, "/v1/tasks", "authorization: Bearer x\r\n").await;
    assert_eq!(last.unwrap().0, 401);
    assert!(
        ask(&mut stream, "/v1/tasks", &good).await.is_err(),
        "it is over"
    );
    assert_eq!(site.status(&signer.token(&claims(SUBJECT))).await, 200);
}
