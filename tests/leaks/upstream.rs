//! A hostile API that reflects what it got.

use cofferdam_devkit::canary::{Canary, Hunt};
use cofferdam_devkit::upstream::{Encoding, Upstream};
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use crate::common::{TOKEN, api, get, install, nobody_lives, world};

async fn stage(grants: impl Fn(&str) -> String) -> (World, Upstream) {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &grants(&upstream.address()));
    (world, upstream)
}

/// Calls the path; nothing of what comes back holds the secret or what was
/// rendered from it. Gives the answer that the guest saw.
fn call(world: &World, upstream: &Upstream, path: &str, rendered: &[&str]) -> Value {
    upstream.forget();
    let finished = world.run("caller").input(get(path)).finish().unwrap();
    assert_eq!(finished.code, 0, "{path}: {finished:?}");
    let answer = finished.result().unwrap()[0].clone();
    for secret in [TOKEN].iter().chain(rendered) {
        let mut hunt = Hunt::new(&Canary::of(secret));
        hunt.bytes(path, finished.stdout.as_bytes());
        hunt.bytes(path, finished.stderr.as_bytes());
        if let Some(body) = answer["text"].as_str() {
            hunt.bytes(path, body.as_bytes());
        }
        hunt.finish().unwrap();
    }
    answer
}

/// Positive control: the server got the credential and could reflect it.
fn got_it(upstream: &Upstream, path: &str) {
    let requests = upstream.requests();
    assert_eq!(requests.len(), 1, "{path}");
    let expected = format!("Bearer {TOKEN}");
    assert_eq!(
        requests[0].header("authorization"),
        Some(expected.as_bytes()),
        "{path}"
    );
}

#[tokio::test]
async fn a_reflection_comes_back_without_the_secret_in_every_spelling() {
    let (world, upstream) = stage(api).await;
    for (name, _) in Encoding::ALL {
        for tail in [
            "",
            "?split=1",
            "?split=3",
            "?split=7&status=206",
            "?status=201",
        ] {
            let path = format!("reflect/{name}{tail}");
            let answer = call(&world, &upstream, &path, &[]);
            got_it(&upstream, &path);
            // Either scrubbed, or refused as a whole.
            let is_scrubbed = answer["status"].is_u64() && answer["read_error"].is_null();
            let is_refused = answer["error"] == "transport" || answer["read_error"].is_object();
            assert!(is_scrubbed || is_refused, "{path}: {answer}");
            if name == "raw" && !tail.contains("206") {
                assert!(
                    answer["text"].as_str().unwrap().contains("[redacted]"),
                    "{path}: {answer}"
                );
            }
        }
    }
    nobody_lives(world.bao().unwrap()).await;
}

#[tokio::test]
async fn every_other_place_of_an_answer_is_clean_too() {
    let (world, upstream) = stage(api).await;
    let mut paths: Vec<String> = [
        "reflect-header-name",
        "reflect-reason",
        "trailers",
        "set-cookie",
        "206",
        "multipart-ranges",
        "encoding/deflate",
        "encoding/gzip",
        "encoding/zstd",
        "encoding/identity",
        "status/204",
        "status/202",
        "short",
    ]
    .map(str::to_owned)
    .to_vec();
    // Those whose bytes cannot stand in a header are refused by the HTTP library.
    paths.extend(Encoding::ALL.map(|(name, _)| format!("reflect-header/{name}")));
    for path in &paths {
        let answer = call(&world, &upstream, path, &[]);
        got_it(&upstream, path);
        assert!(
            answer["headers"].to_string().find("set-cookie").is_none(),
            "{path}: {answer}"
        );
        if path.starts_with("encoding/") && path != "encoding/identity" {
            let failed = answer["error"] == "transport" || answer["read_error"].is_object();
            assert!(failed, "{path} cannot be scanned: {answer}");
        }
    }
}

#[tokio::test]
async fn a_redirect_is_refused_and_nothing_follows_it() {
    let (world, upstream) = stage(api).await;
    let other = Upstream::start().unwrap();
    for code in [301, 302, 303, 307, 308] {
        for target in [
            format!("{}/stolen", other.address()),
            format!("{}/status/200", upstream.address()),
            other.address().replace("http:", "https:"),
            "//127.0.0.1:1/x".to_owned(),
        ] {
            let encoded: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
            let path = format!("redirect?code={code}&to={encoded}");
            let answer = call(&world, &upstream, &path, &[]);
            assert_eq!(answer["kind"], "redirect-refused", "{path}: {answer}");
            got_it(&upstream, &path);
        }
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn basic_and_query_credentials_are_scrubbed_as_they_were_rendered() {
    let (world, upstream) = stage(|address| {
        api(address).replace(
            "inject = { header = \"Authorization\", value = \"Bearer {token}\" }",
            "inject = { basic = { username = \"service\", password = \"{token}\" } }",
        )
    })
    .await;
    let rendered = "c2VydmljZTpjYW5hcnktM2I5ZTc3ZjBjNTFkNGE2Mg==";
    for (name, _) in Encoding::ALL {
        call(&world, &upstream, &format!("reflect/{name}"), &[rendered]);
        let sent = format!("Basic {rendered}");
        assert_eq!(
            upstream.requests()[0].header("authorization"),
            Some(sent.as_bytes())
        );
    }

    let by_query = api(&upstream.address()).replace(
        "inject = { header = \"Authorization\", value = \"Bearer {token}\" }",
        "inject = { query = \"key\", value = \"{token}\" }",
    );
    install(&world, "caller", "probe-http", &by_query);
    for (name, _) in Encoding::ALL {
        call(&world, &upstream, &format!("reflect/{name}?split=5"), &[]);
        let target = &upstream.requests()[0].target;
        assert!(target.ends_with(&format!("&key={TOKEN}")), "{target}");
    }
    let answer = call(&world, &upstream, "never-there", &[]);
    assert_eq!(answer["status"], json!(404));
}
