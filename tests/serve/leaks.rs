//! Every secret of a service is looked for in everything that it writes, keeps
//! and answers.

use cofferdam_devkit::process::dying_with_us;
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::common::{TOKEN, api, binary, get, install, nobody_lives, signer, world};
use crate::leaks::traces::{Traces, minted};

#[tokio::test]
async fn no_secret_of_a_service_is_kept_told_or_answered() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
    let wire = Proxy::start(upstream.socket()).unwrap();
    install(&world, "caller", "probe-http", &api(&wire.address()));
    install(&world, "signer", "probe-keys", &signer("signer", &["sign"]));
    let reveal = "[reveal.legacy]\nreason = \"test\"\n\
        credential = { kv2 = { mount = \"secret\", path = \"api\", field = \"token\" } }\n";
    install(&world, "teller", "probe-reveal", reveal);
    world.vault_at(&vault.address()).unwrap();
    let mut command = dying_with_us(binary());
    command.args(["--log-level", "trace", "serve"]);
    let mut stage = Stage::of_command(world, "", "cofferdam.sock", command).await;

    let reflect =
        |then: Value| json!({"do": "http", "grant": "api", "path": "reflect/raw", "then": then});
    let mut runs = Vec::new();
    for (task, input) in [
        ("caller", get("reflect/raw")),
        ("caller", get("reflect/base64-1")),
        ("caller", reflect(json!({"do": "fail", "message": "no"}))),
        ("caller", reflect(json!({"do": "trap"}))),
        ("caller", reflect(json!({"do": "log_flood", "lines": 100}))),
        (
            "signer",
            json!({"do": "keys", "grant": "signer", "op": "sign", "message": "m"}),
        ),
        (
            "teller",
            json!({"do": "reveal_and_tell", "grant": "legacy"}),
        ),
    ] {
        let run = stage.submit(task, input).await.unwrap();
        stage.end_of(run).await;
        runs.push(run);
    }
    for (proxy, method, path, fault) in [
        (&vault, "POST", "token/create", Fault::Cut(400)),
        (&vault, "GET", "secret/data", Fault::Status(403, None)),
        (&vault, "POST", "auth/token/revoke", Fault::Reset),
        (&wire, "GET", "", Fault::Reset),
    ] {
        let broken = proxy.inject(Rule::on(method, path, fault).times(1));
        let run = stage.submit("caller", get("status/200")).await.unwrap();
        stage.end_of(run).await;
        assert_eq!(broken.hits(), 1, "{method} {path}");
        runs.push(run);
    }

    let mut answers = Vec::new();
    let paths = [
        "/",
        "/metrics",
        "/openapi.json",
        "/v1/version",
        "/v1/runs",
        "/v1/tasks",
    ];
    let health = ["live", "ready", "vault"].map(|one| format!("/v1/health/{one}"));
    let of_runs = runs
        .iter()
        .flat_map(|run| [format!("/v1/runs/{run}"), format!("/v1/runs/{run}/log")]);
    for path in paths
        .map(str::to_owned)
        .into_iter()
        .chain(health)
        .chain(of_runs)
    {
        answers.push((format!("GET {path}"), stage.get(&path)));
    }
    // What the guests sent back was seen, so that there was something to hide.
    let reflected = answers.iter().filter(|(_, answer)| {
        memchr::memmem::find(answer, b"[redacted]").is_some()
            || memchr::memmem::find(answer, b"redacted").is_some()
    });
    assert!(reflected.count() >= 3, "nothing was redacted");
    // Its revocation was cut off: the end of the log-in takes it along.
    stage.stop().await;
    nobody_lives(stage.world.bao().unwrap()).await;

    let (tokens, accessors) = minted(&vault);
    assert!(
        tokens.len() >= 9 && accessors.len() >= 9,
        "{}",
        tokens.len()
    );
    let secret_id = std::fs::read_to_string(stage.world.path("secret-id")).unwrap();
    let mut traces = Traces::of(&stage.world, answers);
    for file in ["results.db", "results-large.db", "serve.log"] {
        let is_there = traces.files.iter().any(|path| path.ends_with(file));
        assert!(is_there, "no {file}");
    }
    let tokens = tokens.iter().map(String::as_str);
    let accessors = accessors.iter().map(String::as_str);
    traces.hold_none_of(tokens.chain([TOKEN, secret_id.trim()]), accessors);
}
