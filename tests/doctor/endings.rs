//! Whatever ends an examination: nothing of it lives on, and nothing is told
//! that nobody may know.

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use rustix::process::Signal;
use serde_json::Value;

use super::clinic::{Examined, clinic, command, examined, nothing_is_left, reviewed};
use crate::common::{SOON, signal, sweep};

/// Every token, accessor and secret-id in what the server answered.
fn secrets(proxy: &Proxy) -> Vec<String> {
    let mut found = Vec::new();
    for answer in proxy.answers() {
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((_, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let Ok(body) = serde_json::from_str::<Value>(body.trim()) else {
            continue;
        };
        for part in [
            "/auth/client_token",
            "/auth/accessor",
            "/data/id",
            "/data/accessor",
        ] {
            found.extend(
                body.pointer(part)
                    .and_then(Value::as_str)
                    .map(str::to_owned),
            );
        }
    }
    found.retain(|secret| secret.len() > 12);
    found.sort();
    found.dedup();
    found
}

#[tokio::test]
async fn no_token_accessor_or_credential_is_in_any_output() {
    let world = clinic().await;
    let proxy = Proxy::start(world.bao().unwrap().socket()).unwrap();
    world.vault_at(&proxy.address()).unwrap();
    let read = |name: &str| {
        std::fs::read_to_string(world.path(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    let mut hunted = vec![
        read("secret-id"),
        read("reviewer-token"),
        read("admin-token"),
    ];
    let mut outputs = Vec::new();
    // Clean, with findings, and as people see it.
    for format in ["json", "text"] {
        let done = world
            .command(&[
                "--format",
                format,
                "--log-level",
                "trace",
                "doctor",
                "--token-file",
                "reviewer-token",
            ])
            .output()
            .unwrap();
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        outputs.push(done);
    }
    let refused = proxy.inject(Rule::on("*", "auth/token/revoke", Fault::Status(500, None)));
    let done = world
        .command(&[
            "--log-level",
            "trace",
            "doctor",
            "--token-file",
            "reviewer-token",
        ])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(4), "{done:?}");
    assert!(refused.hits() >= 1);
    outputs.push(done);
    drop(refused);
    hunted.extend(secrets(&proxy));
    // Two tasks' tokens and the log-in, thrice, each with its accessor.
    assert!(hunted.len() >= 3 + 2 * 9, "{}", hunted.len());
    for output in &outputs {
        let text = [output.stdout.as_slice(), &output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("mint.task"), "{text}");
        for secret in &hunted {
            assert!(!text.contains(secret.as_str()), "{secret} in {text}");
        }
    }
    assert_eq!(sweep(&world).0, 0);
    nothing_is_left(&world, world.bao().unwrap()).await;
}

#[tokio::test]
async fn a_signal_at_each_step_still_revokes() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let proxy = Proxy::start(bao.socket()).unwrap();
    world.vault_at(&proxy.address()).unwrap();
    for (method, path) in [
        ("GET", "sys/health"),
        ("POST", "auth/approle/login"),
        ("GET", "auth/token/lookup-self"),
        ("POST", "sys/leases/renew"),
        ("POST", "auth/token/create"),
        ("POST", "auth/token/revoke-accessor"),
        ("GET", "sys/policies/acl"),
        ("GET", "identity/entity"),
        ("POST", "auth/token/revoke-self"),
    ] {
        let held = proxy.inject(Rule::on(method, path, Fault::HoldResponse).times(1));
        let mut command = command(&world, &["--token-file", "reviewer-token"]);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let child = command.spawn().unwrap();
        held.wait_hit(SOON).unwrap();
        signal(&child, Signal::TERM);
        // The process takes note while the answer is on its way.
        std::thread::sleep(std::time::Duration::from_millis(50));
        held.release();
        let found = Examined::of(child.wait_with_output().unwrap());
        assert_eq!(found.code, 130, "{path}: {found:#?}");
        nothing_is_left(&world, bao).await;
    }
}

#[tokio::test]
async fn what_cannot_be_revoked_is_told_and_swept() {
    let world = clinic().await;
    let bao = world.bao().unwrap();
    let proxy = Proxy::start(bao.socket()).unwrap();
    world.vault_at(&proxy.address()).unwrap();
    let kept = proxy.inject(Rule::on(
        "POST",
        "auth/token/revoke-self",
        Fault::Status(500, None),
    ));
    let found = examined(&world, &["--token-file", "reviewer-token"]);
    assert!(kept.hits() >= 1);
    found.finds(&["login.revoked"]);
    drop(kept);
    assert_eq!(sweep(&world).0, 0);

    let kept = proxy.inject(Rule::on("POST", "revoke-accessor", Fault::Reset));
    let found = examined(&world, &[]);
    assert!(kept.hits() >= 1);
    assert!(found.ids("fault").contains(&"mint.task"), "{found:#?}");
    drop(kept);
    assert_eq!(sweep(&world).0, 0);
    reviewed(&world).is_clean();
    nothing_is_left(&world, bao).await;
}

#[tokio::test]
async fn a_vault_that_goes_away_in_the_middle_ends_with_its_own_code() {
    let mut world = clinic().await;
    let proxy = Proxy::start(world.bao().unwrap().socket()).unwrap();
    world.vault_at(&proxy.address()).unwrap();
    let held = proxy.inject(Rule::on("POST", "auth/token/create", Fault::HoldRequest).times(1));
    let mut command = command(
        &world,
        &["--token-file", "reviewer-token", "--timeout", "3s"],
    );
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    held.wait_hit(SOON).unwrap();
    world.take_bao().unwrap().stop();
    held.release();
    let found = Examined::of(child.wait_with_output().unwrap());
    assert_eq!(found.code, 4, "{found:#?}");
    assert!(found.ids("not_proven").contains(&"mint.task"), "{found:#?}");
}
