//! Every secret of a run is looked for in everything that the host writes.

use std::path::Path;
use std::process::{Command, Stdio};

use cofferdam_devkit::canary::{Canary, Hunt};
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use serde_json::{Value, json};

use super::traces::{Traces, minted};
use crate::common::{SOON, TOKEN, api, ended, install, signer, world};

#[tokio::test]
async fn no_secret_of_a_run_is_written_anywhere() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    let (vault, wire) = (
        Proxy::start(world.bao().unwrap().socket()).unwrap(),
        Proxy::start(upstream.socket()).unwrap(),
    );
    let small = "[limits]\ntimeout = \"2s\"\nmemory = \"16MiB\"\n\n";
    install(
        &world,
        "caller",
        "probe-http",
        &format!("{small}{}", api(&wire.address())),
    );
    install(&world, "signer", "probe-keys", &signer("signer", &["sign"]));
    let reveal = "[reveal.legacy]\nreason = \"test\"\n\
        credential = { kv2 = { mount = \"secret\", path = \"api\", field = \"token\" } }\n";
    install(&world, "teller", "probe-reveal", reveal);
    world.vault_at(&vault.address()).unwrap();

    let mut outputs = Vec::new();
    let mut run = |name: &str, task: &str, input: Value| {
        for format in ["json", "text"] {
            // The log for machines has another writer.
            let mut command = world.command(&["--format", format, "--log-format", format]);
            command.args(["--log-level", "trace", "run", task]);
            command.args(["--dag-id", "tests", "--input", &input.to_string()]);
            let output = command.output().unwrap();
            assert!(output.status.code().is_some());
            outputs.push((format!("stdout of {name} as {format}"), output.stdout));
            outputs.push((format!("log of {name} as {format}"), output.stderr));
        }
    };
    let then =
        |path: &str, then: Value| json!({"do": "http", "grant": "api", "path": path, "then": then});
    run(
        "a call",
        "caller",
        json!({"do": "http", "grant": "api", "path": "reflect/raw"}),
    );
    for (name, end) in [
        ("a failure", json!({"do": "fail", "message": "no"})),
        ("a trap", json!({"do": "trap"})),
        ("a panic", json!({"do": "panic", "message": "oh"})),
        ("a loop", json!({"do": "spin"})),
        ("a bomb", json!({"do": "memory"})),
    ] {
        run(name, "caller", then("reflect/raw", end));
    }
    run(
        "a redirect",
        "caller",
        json!({"do": "http", "grant": "api", "path": "redirect?to=http%3A%2F%2Fa"}),
    );
    run(
        "a signature",
        "signer",
        json!({"do": "keys", "grant": "signer", "op": "sign", "message": "m"}),
    );
    run(
        "telling",
        "teller",
        json!({"do": "reveal_and_tell", "grant": "legacy"}),
    );
    for (name, method, path, fault) in [
        (
            "a refused log-in",
            "POST",
            "approle/login",
            Fault::Status(400, None),
        ),
        ("a cut log-in", "POST", "approle/login", Fault::Cut(400)),
        ("a cut mint", "POST", "token/create", Fault::Cut(400)),
        ("a cut read", "GET", "secret/data", Fault::Cut(300)),
        (
            "a refused read",
            "GET",
            "secret/data",
            Fault::Status(403, None),
        ),
        (
            "a lost revocation",
            "POST",
            "auth/token/revoke",
            Fault::Reset,
        ),
    ] {
        let broken = vault.inject(Rule::on(method, path, fault));
        run(
            name,
            "caller",
            json!({"do": "http", "grant": "api", "path": "status/200"}),
        );
        assert!(broken.hits() >= 2, "{name}");
    }
    let broken = wire.inject(Rule::on("GET", "", Fault::Reset));
    run(
        "a broken upstream",
        "caller",
        json!({"do": "http", "grant": "api", "path": "status/200"}),
    );
    assert!(broken.hits() >= 2);
    for arguments in [
        ["--log-level", "trace", "sweep"].as_slice(),
        &["--format", "json", "--log-level", "trace", "sweep"],
        &["--log-level", "trace", "check"],
        &["--log-level", "trace", "policy", "--all", "--host"],
        &["--log-level", "trace", "audit", "show", "audit"],
    ] {
        let output = world.command(arguments).output().unwrap();
        outputs.push((format!("stdout of {arguments:?}"), output.stdout));
        outputs.push((format!("log of {arguments:?}"), output.stderr));
    }

    let (tokens, accessors) = minted(&vault);
    assert!(
        tokens.len() > 20 && accessors.len() > 20,
        "{} tokens",
        tokens.len()
    );
    let secret_id = std::fs::read_to_string(world.path("secret-id")).unwrap();
    let mut traces = Traces::of(&world, outputs);
    let places: Vec<String> = traces
        .files
        .iter()
        .map(|it| it.display().to_string())
        .collect();
    for folder in ["/audit/", "/cache/", "/state/", "/grants/"] {
        assert!(
            places.iter().any(|it| it.contains(folder)),
            "no file in {folder}: {places:?}"
        );
    }
    let tokens = tokens.iter().map(String::as_str);
    let accessors = accessors.iter().map(String::as_str);
    traces.hold_none_of(tokens.chain([TOKEN, secret_id.trim()]), accessors);
}

/// Arguments and environment of a process and of its children.
fn seen_by_ps(pid: u32) -> Vec<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    let children = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(children).unwrap_or_default();
    let pids = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok());
    for pid in [pid].into_iter().chain(pids) {
        for file in ["cmdline", "environ"] {
            let path = Path::new("/proc").join(pid.to_string()).join(file);
            seen.push((path.display().to_string(), std::fs::read(path).unwrap()));
        }
    }
    seen
}

#[tokio::test]
async fn no_secret_stands_in_arguments_or_environment() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    let wire = Proxy::start(upstream.socket()).unwrap();
    let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
    install(&world, "caller", "probe-http", &api(&wire.address()));
    world.vault_at(&vault.address()).unwrap();
    let held = wire.inject(Rule::on("GET", "status", Fault::HoldRequest).times(1));
    let input = json!({"do": "http", "grant": "api", "path": "status/200"});
    let child = world.run("caller").input(input).command().spawn().unwrap();
    held.wait_hit(SOON).unwrap();
    let seen = seen_by_ps(child.id());
    held.release();
    assert_eq!(ended(child).code, 0);
    let (tokens, accessors) = minted(&vault);
    assert_eq!((tokens.len(), accessors.len()), (2, 2));
    let search = |seen: &[(String, Vec<u8>)], canary: &str| {
        let mut hunt = Hunt::new(&Canary::of(canary));
        for (name, bytes) in seen {
            hunt.bytes(name, bytes);
        }
        hunt.sightings().len()
    };
    for secret in tokens
        .iter()
        .chain(&accessors)
        .map(String::as_str)
        .chain([TOKEN])
    {
        assert_eq!(search(&seen, secret), 0);
    }
    // Positive control: the same look at a process that does it wrong.
    let mut wrong = Command::new("sh");
    wrong.args(["-c", "read x", TOKEN]).env("PASSWORD", TOKEN);
    let mut wrong = wrong.stdin(Stdio::piped()).spawn().unwrap();
    crate::common::until("the exec", || search(&seen_by_ps(wrong.id()), TOKEN) >= 2);
    wrong.kill().unwrap();
    wrong.wait().unwrap();
}
