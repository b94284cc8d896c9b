//! Every example runs as its README says, with its own grants and input.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cofferdam_devkit::openbao::Provision;
use cofferdam_devkit::process::{Guarded, dying_with_us};
use cofferdam_devkit::tools::workspace;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::{TOKEN, binary, guest, nobody_lives};

fn example(name: &str) -> PathBuf {
    workspace().join("examples").join(name)
}

/// Installs the example's grants, with the digest of the component that was
/// built here and the address of the API that runs here.
fn install(world: &World, name: &str, base: Option<(&str, &str)>) {
    let file = example(name).join("grants").join(format!("{name}.toml"));
    let mut grants = std::fs::read_to_string(file).unwrap();
    let component = std::fs::read(guest(name)).unwrap();
    let zeros = "0".repeat(64);
    assert!(grants.contains(&zeros), "{grants}");
    grants = grants.replace(&zeros, &hex::encode(Sha256::digest(&component)));
    if let Some((from, to)) = base {
        assert!(grants.contains(from), "{grants}");
        grants = grants.replace(from, to);
    }
    world
        .write(&format!("grants/{name}.toml"), &grants)
        .unwrap();
    std::fs::create_dir_all(world.path("components")).unwrap();
    std::fs::write(world.path(&format!("components/{name}.wasm")), component).unwrap();
}

/// `cofferdam run NAME` with the example's input; its report.
fn run(world: &World, name: &str, dag_id: &str) -> Value {
    let input = format!("@{}", example(name).join("input.json").display());
    let output = world
        .command(&[
            "--format", "json", "run", name, "--dag-id", dag_id, "--input", &input,
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn check(world: &World) {
    let output = world.command(&["check"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn hello_needs_neither_vault_nor_grants() {
    let world = World::bare(binary()).unwrap();
    install(&world, "hello", None);
    check(&world);
    let report = run(&world, "hello", "examples");
    assert!(report["result"].to_string().contains("Ada"), "{report}");
    assert!(report.get("revocation").is_none(), "{report}");
    assert_eq!(report["calls"], json!({}));
}

/// The billing API as a process of its own.
fn billing_api(token_file: &Path) -> (Guarded, String) {
    let mut command = dying_with_us(binary().with_file_name("invoice-api"));
    command
        .arg("--token-file")
        .arg(token_file)
        .stdout(Stdio::piped());
    let mut process = Guarded::spawn(command).unwrap();
    let mut line = String::new();
    let stdout = process.child().stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let address = line
        .trim()
        .strip_prefix("listening on ")
        .unwrap()
        .to_owned();
    (process, address)
}

#[tokio::test]
async fn invoice_sync_reads_signs_and_posts() {
    let what = Provision {
        kv2: vec![("billing", json!({ "token": TOKEN }))],
        transit: vec![("invoices", "ed25519")],
        ..Provision::default()
    };
    let world = World::with_vault(binary(), &what).await.unwrap();
    world.write("api-token", TOKEN).unwrap();
    let (_api, address) = billing_api(&world.path("api-token"));
    install(
        &world,
        "invoice-sync",
        Some(("http://127.0.0.1:8090", &address)),
    );
    check(&world);
    world.policy("invoice-sync").unwrap();
    let report = run(&world, "invoice-sync", "billing");
    let calls = &report["calls"];
    assert!(calls["http.billing.send"].as_u64().unwrap() > 2, "{report}");
    assert_eq!(calls["keys.signer.sign"], 1, "{report}");
    assert_eq!(report["revocation"], json!({"complete": true}));
    nobody_lives(world.bao().unwrap()).await;

    // The audit of the run verifies up to the head that the report names.
    let (file, head) = (&report["audit"]["file"], &report["audit"]["head"]);
    let verify = [
        "audit",
        "verify",
        file.as_str().unwrap(),
        "--head",
        head.as_str().unwrap(),
    ];
    let output = world.command(&verify).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let cut = std::fs::read_to_string(file.as_str().unwrap()).unwrap();
    let cut: String = cut
        .lines()
        .rev()
        .skip(1)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .map(|line| format!("{line}\n"))
        .collect();
    world.write("cut.jsonl", &cut).unwrap();
    let verify = [
        "audit",
        "verify",
        "cut.jsonl",
        "--head",
        head.as_str().unwrap(),
    ];
    let output = world.command(&verify).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
