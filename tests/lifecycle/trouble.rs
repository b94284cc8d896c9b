//! A Vault that is down, sealed, slow or strange, seen from the command line.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::World;
use serde_json::json;

use crate::common::{SOON, api, get, install, journal, nobody_lives, sweep, world};

/// A world whose Vault is behind a proxy, and an API.
async fn stage(lines: &str) -> (World, Proxy, Upstream) {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    install(&world, "caller", "probe-http", &api(&upstream.address()));
    let proxy = Proxy::start(world.bao().unwrap().socket()).unwrap();
    at(&world, &proxy.address(), lines);
    (world, proxy, upstream)
}

/// `cofferdam.toml` for this address, with further lines of `[vault]`.
fn at(world: &World, address: &str, lines: &str) {
    let text = format!(
        "[vault]\naddress = \"{address}\"\n{lines}\n[vault.auth.approle]\n\
         role_id_file = \"role-id\"\nsecret_id_file = \"secret-id\"\n"
    );
    world.write("cofferdam.toml", &text).unwrap();
}

/// Answers each request with `head`, then `length` bytes.
fn strange(head: &'static str, length: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(head.as_bytes());
            let piece = [b' '; 65_536];
            for _ in 0..length / piece.len() {
                // The host hangs up when it has had enough.
                if stream.write_all(&piece).is_err() {
                    break;
                }
            }
        }
    });
    address
}

#[tokio::test]
async fn a_run_does_not_start_without_vault() {
    let (world, proxy, upstream) = stage("timeout = \"1s\"").await;
    let bao = world.bao().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let never = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", never.local_addr().unwrap());
    // What is told when the health is asked first, and when it is not.
    for (name, address, [asked, unasked]) in [
        ("down", nobody, ["refused"; 2]),
        ("silent", silent, ["in time"; 2]),
        (
            "403 without a body",
            strange("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", 0),
            ["not giving its health (status 403)", "refuse"],
        ),
        (
            "503",
            strange(
                "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
                0,
            ),
            ["503"; 2],
        ),
        (
            "sealed",
            strange(
                "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 65\r\n\r\n{\"initialized\":true,\"sealed\":true,\"errors\":[\"Vault is sealed\"]}  ",
                0,
            ),
            ["sealed"; 2],
        ),
        (
            "429",
            strange(
                "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n",
                0,
            ),
            ["429"; 2],
        ),
        (
            "no JSON",
            strange("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html", 0),
            ["not giving its health (status 200)", "makes no sense"],
        ),
        (
            "cut",
            strange("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"auth", 0),
            ["broke"; 2],
        ),
        (
            "100 MB",
            strange("HTTP/1.1 200 OK\r\n\r\n", 100 << 20),
            ["far too long", "larger than"],
        ),
    ] {
        for (lines, message) in [("", asked), ("require_healthy = false", unasked)] {
            at(&world, &address, &format!("timeout = \"1s\"\n{lines}"));
            let begun = Instant::now();
            let finished = world
                .run("caller")
                .input(get("status/200"))
                .finish()
                .unwrap();
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "{name}: {:?}",
                begun.elapsed()
            );
            let expected = if message == "refuse" { 3 } else { 4 };
            assert_eq!(finished.code, expected, "{name}: {finished:?}");
            let outcome = &finished.report().unwrap()["outcome"];
            assert_eq!(
                (&outcome["kind"], &outcome["phase"]),
                (&json!("refused"), &json!("authority")),
                "{name}"
            );
            let text = outcome["message"].as_str().unwrap();
            assert!(text.contains(message), "{name}: {text}");
            assert!(
                outcome["hint"]
                    .as_str()
                    .is_some_and(|hint| !hint.is_empty()),
                "{name}"
            );
        }
    }
    assert!(upstream.requests().is_empty() && proxy.passed().is_empty());
    assert_eq!(bao.minted().unwrap(), 0);
    nobody_lives(bao).await;
}

#[tokio::test]
async fn a_sealed_server_is_named_and_costs_nothing() {
    let (world, proxy, _upstream) = stage("").await;
    let bao = world.bao().unwrap();
    let (status, _) = bao.root("POST", "sys/seal", None).await.unwrap();
    assert_eq!(status, 204);
    let finished = world
        .run("caller")
        .input(get("status/200"))
        .finish()
        .unwrap();
    assert_eq!(finished.code, 4, "{finished:?}");
    assert!(finished.stdout.contains("sealed"), "{finished:?}");
    assert_eq!(proxy.passed().len(), 1, "{:?}", proxy.passed());
}

#[tokio::test]
async fn a_revocation_that_fails_is_told_kept_and_made_good() {
    let (world, proxy, _upstream) = stage("timeout = \"1s\"").await;
    let bao = world.bao().unwrap();
    for (fault, word) in [
        (Fault::Status(503, None), "overloaded"),
        (Fault::Status(403, None), "refused"),
        (Fault::Reset, "unreachable"),
        (Fault::NeverAnswer, "unreachable"),
    ] {
        let broken = proxy.inject(Rule::on("POST", "auth/token/revoke", fault.clone()));
        let begun = Instant::now();
        let finished = world
            .run("caller")
            .input(get("status/200"))
            .finish()
            .unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20), "{fault:?}");
        assert!(broken.hits() >= 1);
        assert_eq!(finished.code, 7, "{fault:?}: {finished:?}");
        let report = finished.report().unwrap();
        assert_eq!(report["outcome"]["kind"], "done", "{report}");
        assert_eq!(
            report["revocation"],
            json!({"complete": false, "reason": word}),
            "{fault:?}"
        );
        assert_eq!(bao.living().await.unwrap().len(), 2, "{fault:?}");
        assert_eq!(journal(&world).len(), 2, "{fault:?}");
        // A task that failed keeps its own exit code; the report says the rest.
        let input = json!({"do": "fail", "message": "no"});
        let finished = world.run("caller").input(input).finish().unwrap();
        assert_eq!(finished.code, 1, "{finished:?}");
        assert_eq!(finished.report().unwrap()["revocation"]["complete"], false);
        drop(broken);

        let (code, report) = sweep(&world);
        assert_eq!(code, 0, "{fault:?}: {report}");
        assert!(journal(&world).is_empty());
        nobody_lives(bao).await;
    }
}

#[tokio::test]
async fn a_vault_that_fails_in_mid_run_is_a_typed_denial() {
    let (world, proxy, upstream) = stage("timeout = \"1s\"").await;
    let bao = world.bao().unwrap();
    for (fault, kind, retryable) in [
        (Fault::Status(503, None), "unavailable", true),
        (Fault::Status(429, Some(1)), "unavailable", true),
        (Fault::Status(403, None), "revoked", false),
        (Fault::Reset, "unavailable", true),
        (Fault::Cut(60), "unavailable", true),
        (Fault::NeverAnswer, "unavailable", true),
    ] {
        let broken = proxy.inject(Rule::on("GET", "secret/data/api", fault.clone()));
        let begun = Instant::now();
        let finished = world
            .run("caller")
            .input(get("status/200"))
            .finish()
            .unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20), "{fault:?}");
        broken.wait_hit(SOON).unwrap();
        assert_eq!(finished.code, 0, "{fault:?}: {finished:?}");
        let answer = &finished.result().unwrap()[0];
        assert_eq!(answer["error"], "denied", "{fault:?}: {answer}");
        println!("{fault:?}: {answer}");
        if fault != Fault::Status(403, None) {
            assert_eq!(
                (&answer["kind"], &answer["retryable"]),
                (&json!(kind), &json!(retryable)),
                "{fault:?}"
            );
        }
        let report = finished.report().unwrap();
        assert_eq!(report["denials"][0]["grant"], "http.api", "{report}");
        drop(broken);
        nobody_lives(bao).await;
    }
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn a_server_that_dies_in_mid_run_leaves_the_journal_and_exit_7() {
    let mut world = world().await;
    let upstream = Upstream::start().unwrap();
    let proxy = Proxy::start(upstream.socket()).unwrap();
    install(&world, "caller", "probe-http", &api(&proxy.address()));
    let held = proxy.inject(Rule::on("GET", "status", Fault::HoldRequest).times(1));
    let child = world
        .run("caller")
        .input(get("status/200"))
        .command()
        .spawn()
        .unwrap();
    held.wait_hit(SOON).unwrap();
    world.take_bao().unwrap().stop();
    held.release();
    let finished = crate::common::ended(child);
    assert_eq!(finished.code, 7, "{finished:?}");
    let report = finished.report().unwrap();
    assert_eq!(report["result"][0]["status"], 200);
    assert_eq!(report["revocation"]["complete"], false);
    assert_eq!(journal(&world).len(), 2);
    let output = world.command(&["sweep"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert_eq!(journal(&world).len(), 2, "nothing may be forgotten");
}
