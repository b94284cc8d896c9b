//! JWTs and keys are looked for in everything that the host writes.

use std::collections::BTreeSet;

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::{Value, json};

use super::site::{BOTH_AS_ITSELF, configure, install, site, write};
use super::stage::MOUNT;
use crate::leaks::traces::Traces;

#[tokio::test]
async fn no_jwt_and_no_key_is_written_anywhere_else() {
    let world = site().await;
    let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
    install(&world, "teller", "probe-reveal", BOTH_AS_ITSELF);
    configure(&world, &vault.address());

    let mut outputs = Vec::new();
    let mut run = |name: &str, input: Value| {
        for format in ["json", "text"] {
            let mut command =
                world.command(&["--format", format, "--log-level", "trace", "run", "teller"]);
            command.args(["--dag-id", "billing", "--input", &input.to_string()]);
            let output = command.output().unwrap();
            assert!(output.status.code().is_some());
            outputs.push((format!("stdout of {name} as {format}"), output.stdout));
            outputs.push((format!("log of {name} as {format}"), output.stderr));
        }
    };
    run("a run", json!({"do": "reveal", "grant": "billing"}));
    run("a failure", json!({"do": "fail", "message": "no"}));
    run("a trap", json!({"do": "trap"}));
    let login = format!("auth/{MOUNT}/login");
    for (name, path, fault) in [
        ("a refused log-in", login.as_str(), Fault::Status(400, None)),
        ("a cut log-in", &login, Fault::Cut(400)),
        ("a lost log-in", &login, Fault::ResetAfterAnswer),
        ("a lost look", "auth/token/lookup-accessor", Fault::Reset),
    ] {
        let broken = vault.inject(Rule::on("POST", path, fault));
        run(name, json!({"do": "reveal", "grant": "billing"}));
        assert!(broken.hits() >= 2, "{name}");
    }
    // A role that gives too much.
    let role = format!("auth/{MOUNT}/role/cofferdam-task-teller");
    let wide = json!({"token_no_default_policy": false, "role_type": "jwt", "user_claim": "sub"});
    write(&world, &role, wide).await;
    run("a mismatch", json!({"do": "reveal", "grant": "billing"}));
    for arguments in [
        ["--log-level", "trace", "identity", "jwks"].as_slice(),
        &["--log-level", "trace", "identity", "pem"],
        &["--log-level", "trace", "identity", "rotate", "--stage"],
        &["--log-level", "trace", "policy", "teller"],
        &["--log-level", "trace", "sweep"],
    ] {
        let output = world.command(arguments).output().unwrap();
        outputs.push((format!("stdout of {arguments:?}"), output.stdout));
        outputs.push((format!("log of {arguments:?}"), output.stderr));
    }

    let jwts: BTreeSet<String> = (vault.bodies().iter())
        .filter_map(|body| serde_json::from_slice::<Value>(body).ok())
        .filter_map(|body| body["jwt"].as_str().map(str::to_owned))
        .collect();
    assert!(jwts.len() >= 14, "{} JWTs", jwts.len());
    let mut traces = Traces::of(&world, outputs);
    for jwt in &jwts {
        // The signature alone makes it one.
        let (_, signature) = jwt.rsplit_once('.').unwrap();
        for secret in [jwt, signature] {
            assert_eq!(traces.search(secret, false), Vec::<String>::new());
        }
    }
    for file in ["key.pem", "next.pem"] {
        let pem = std::fs::read_to_string(world.path(&format!("state/identity/{file}"))).unwrap();
        // The lines with the private number; the last ones are the public key.
        let line = pem.lines().nth(1).unwrap();
        assert_eq!(
            traces.search(line.get(44..).unwrap(), false),
            Vec::<String>::new()
        );
    }
    traces.control();
}
