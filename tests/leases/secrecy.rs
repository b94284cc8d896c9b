//! No password and no lease id is in anything that the host writes, but for
//! the journal's leases.

use std::collections::BTreeSet;

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use serde_json::{Value, json};

use super::world::Leasing;
use crate::common::journal;
use crate::leaks::traces::Traces;

/// Lease ids and passwords out of Vault's answers.
fn leased(vault: &Proxy) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut leases, mut passwords) = (BTreeSet::new(), BTreeSet::new());
    for answer in vault.answers() {
        let Some(body) = answer.windows(4).position(|it| it == b"\r\n\r\n") else {
            continue;
        };
        let body: Value = serde_json::from_slice(&answer[body + 4..]).unwrap_or_default();
        let lease = body["lease_id"].as_str().filter(|id| !id.is_empty());
        leases.extend(lease.map(str::to_owned));
        passwords.extend(body["data"]["password"].as_str().map(str::to_owned));
    }
    (leases, passwords)
}

#[tokio::test]
async fn no_lease_is_written_anywhere_but_into_the_journal() {
    let leasing = Leasing::start("3s", "1h", ", refresh = \"refetch\"").await;
    let vault = Proxy::start(leasing.bao().socket()).unwrap();
    leasing.world.vault_at(&vault.address()).unwrap();
    let mut outputs = Vec::new();
    let mut run = |name: &str, path: &str| {
        let input = json!({"do": "http", "grant": "api", "path": path}).to_string();
        for format in ["json", "text"] {
            let mut command = leasing.world.command(&["--format", format]);
            command
                .args(["--log-level", "trace", "run", "caller"])
                .args(["--dag-id", "tests", "--input", &input]);
            let output = command.output().unwrap();
            assert!(output.status.code().is_some());
            outputs.push((format!("stdout of {name} as {format}"), output.stdout));
            outputs.push((format!("log of {name} as {format}"), output.stderr));
        }
    };
    run("a call", "reflect/raw");
    run("a renewal", "slow?pieces=25&pause=100");
    for (name, method, path, fault) in [
        ("a cut credential", "GET", "database/creds", Fault::Cut(300)),
        (
            "a refused credential",
            "GET",
            "database/creds",
            Fault::Status(403, None),
        ),
        (
            "a lost end",
            "POST",
            "sys/leases/revoke",
            Fault::ResetAfterAnswer,
        ),
    ] {
        let broken = vault.inject(Rule::on(method, path, fault));
        run(name, "status/200");
        assert!(broken.hits() >= 2, "{name}");
    }
    // The last, since each start sweeps what the one before left.
    for (name, method, fault_path, path) in [
        (
            "a refused renewal",
            "POST",
            "leases/renew",
            "slow?pieces=25&pause=100",
        ),
        ("a refused end", "POST", "leases/revoke", "status/200"),
    ] {
        let refused = vault.inject(Rule::on(method, fault_path, Fault::Status(403, None)));
        run(name, path);
        assert!(refused.hits() >= 2, "{name}");
    }

    // What could not be revoked stands in the journal: a control of the search.
    let (leases, passwords) = leased(&vault);
    assert!(leases.len() >= 10 && passwords.len() >= 10, "{leases:?}");
    let records = journal(&leasing.world);
    let named = |lease: &String| {
        let mut texts = records.iter().map(|record| &record.text);
        texts.any(|text| text.contains(lease.as_str()))
    };
    assert!(leases.iter().any(named), "{records:?}");
    for arguments in [
        ["--format", "json", "--log-level", "trace", "sweep"].as_slice(),
        &["--log-level", "trace", "sweep"],
        &["--log-level", "trace", "audit", "show", "audit"],
    ] {
        let output = leasing.world.command(arguments).output().unwrap();
        outputs.push((format!("stdout of {arguments:?}"), output.stdout));
        outputs.push((format!("log of {arguments:?}"), output.stderr));
    }

    let mut traces = Traces::of(&leasing.world, outputs);
    for password in &passwords {
        assert_eq!(traces.search(password, false), Vec::<String>::new());
    }
    for lease in &leases {
        assert_eq!(traces.search(lease, true), Vec::<String>::new());
        let name = lease.rsplit('/').next().unwrap();
        assert_eq!(traces.search(name, true), Vec::<String>::new());
    }
    traces.control();
    leasing.nothing_is_left().await;
}
