//! Every example runs as its README says, with its own grants and input.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;

use cofferdam_devkit::openbao::Provision;
use cofferdam_devkit::postgres::Options;
use cofferdam_devkit::process::Guarded;
use cofferdam_devkit::tools::workspace;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::{TOKEN, billing_api, binary, guest, nobody_lives};
use crate::sql::world::Warehouse;

/// Where the examples' grants expect the API.
const API: &str = "http://127.0.0.1:8090";
/// Where the example `warehouse-load` expects the database.
const DATABASE: &str = "127.0.0.1:5432";
/// The tables of the example `warehouse-load`.
pub(crate) const SCHEMA: &str = include_str!("../examples/warehouse-load/schema.sql");

fn example(name: &str) -> PathBuf {
    workspace().join("examples").join(name)
}

/// Installs the example's grants, with the digest of the component that was
/// built here and the address of the API that runs here.
fn install(world: &World, name: &str, addresses: &[(&str, &str)]) {
    let file = example(name).join("grants").join(format!("{name}.toml"));
    let mut grants = std::fs::read_to_string(file).unwrap();
    let component = std::fs::read(guest(name)).unwrap();
    let zeros = "0".repeat(64);
    assert!(grants.contains(&zeros), "{grants}");
    grants = grants.replace(&zeros, &hex::encode(Sha256::digest(&component)));
    for (from, to) in addresses {
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
    run_input(world, name, dag_id, &input)
}

/// The same with another input.
pub(crate) fn run_with(world: &World, name: &str, dag_id: &str, input: &Value) -> Value {
    run_input(world, name, dag_id, &input.to_string())
}

fn run_input(world: &World, name: &str, dag_id: &str, input: &str) -> Value {
    let output = world
        .command(&[
            "--format", "json", "run", name, "--dag-id", dag_id, "--input", input,
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn check(world: &World, name: &str) {
    let output = world.command(&["check", name]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn hello_needs_neither_vault_nor_grants() {
    let world = World::bare(binary()).unwrap();
    install(&world, "hello", &[]);
    check(&world, "hello");
    let report = run(&world, "hello", "examples");
    assert!(report["result"].to_string().contains("Ada"), "{report}");
    assert!(report.get("revocation").is_none(), "{report}");
    assert_eq!(report["calls"], json!({}));
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
    install(&world, "invoice-sync", &[(API, &address)]);
    check(&world, "invoice-sync");
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

/// Both load into an empty table at the same time: one at least is done, the
/// other is done or asks for a retry, and a retry finds nothing left to do.
#[tokio::test]
async fn two_loads_at_the_same_time_do_not_mix() {
    let (warehouse, _shop) = warehouse_load().await;
    let world = &warehouse.world;
    let input = format!(
        "@{}",
        example("warehouse-load").join("input.json").display()
    );
    let arguments = [
        "run",
        "warehouse-load",
        "--dag-id",
        "warehouse",
        "--input",
        &input,
    ];
    let both = [(); 2].map(|()| {
        let mut command = world.command(&arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    });
    let ends = both.map(|child| child.wait_with_output().unwrap());
    let codes = ends.each_ref().map(|end| end.status.code());
    assert!(codes.contains(&Some(0)), "{ends:?}");
    assert!(
        codes.iter().all(|code| matches!(code, Some(0 | 75))),
        "{ends:?}"
    );
    let report = run(world, "warehouse-load", "warehouse");
    let result = &report["result"];
    assert_eq!((&result["new"], &result["changed"]), (&json!(0), &json!(0)));
    let count = warehouse.one("SELECT count(*) FROM orders").await;
    assert_eq!(result["read"].to_string(), count);
    assert_eq!(warehouse.users().await, Vec::<String>::new());
    assert_eq!(warehouse.sessions().await, 0);
    nobody_lives(world.bao().unwrap()).await;
}

/// The API with the orders, whose token lies at `secret/billing`.
pub(crate) struct Shop {
    address: String,
    _process: Guarded,
}

impl Shop {
    /// Starts it, and puts its token into the world's Vault.
    pub(crate) async fn open(world: &World) -> Self {
        let secret = json!({"data": {"token": TOKEN}});
        let bao = world.bao().unwrap();
        let put = bao.root("POST", "secret/data/billing", Some(secret));
        assert_eq!(put.await.unwrap().0, 200);
        world.write("api-token", TOKEN).unwrap();
        let (process, address) = billing_api(&world.path("api-token"));
        Self {
            address,
            _process: process,
        }
    }
}

/// Installs the example with its servers' addresses, without a policy.
pub(crate) fn install_warehouse_load(world: &World, shop: &Shop, database: &str) {
    let addresses = [(API, shop.address.as_str()), (DATABASE, database)];
    install(world, "warehouse-load", &addresses);
    check(world, "warehouse-load");
}

/// A database, the API, and the example installed on them.
async fn warehouse_load() -> (Warehouse, Shop) {
    let warehouse = Warehouse::with(Options {
        database: "warehouse".to_owned(),
        ..Options::default()
    })
    .await;
    let postgres = &warehouse.postgres;
    postgres.ask("DROP TABLE orders").await.unwrap();
    postgres.ask(SCHEMA).await.unwrap();
    let vaults = "GRANT USAGE ON SCHEMA staging TO vault WITH GRANT OPTION; \
                  GRANT SELECT, INSERT, UPDATE, DELETE ON public.orders, staging.orders \
                  TO vault WITH GRANT OPTION";
    postgres.ask(vaults).await.unwrap();
    let shop = Shop::open(&warehouse.world).await;
    let address = format!("127.0.0.1:{}", postgres.port());
    install_warehouse_load(&warehouse.world, &shop, &address);
    warehouse.role("warehouse-load").await;
    warehouse.world.policy("warehouse-load").unwrap();
    (warehouse, shop)
}

#[tokio::test]
async fn warehouse_load_upserts_by_copy_and_reports() {
    let (warehouse, _shop) = warehouse_load().await;
    let (world, postgres) = (&warehouse.world, &warehouse.postgres);

    let count = async || {
        warehouse
            .one("SELECT count(*) FROM orders")
            .await
            .parse::<u64>()
            .unwrap()
    };
    let load = |until: &str| {
        run_with(
            world,
            "warehouse-load",
            "warehouse",
            &json!({"until": until}),
        )
    };
    let counts = |report: &Value| {
        let count = |name: &str| report["result"][name].as_u64().unwrap();
        (count("read"), count("new"), count("changed"))
    };

    let first = load("2026-11-23");
    let (read, new, changed) = counts(&first);
    assert!(read > 30_000, "{first}");
    assert_eq!((new, changed), (read, 0), "{first}");
    assert_eq!(count().await, read);
    let revoked = json!({"complete": true, "leases": {"revoked": 1, "left": 0}});
    assert_eq!(first["revocation"], revoked);

    // The same once more changes nothing; a day later a few are new and some
    // have moved on.
    assert_eq!(counts(&load("2026-11-23")), (read, 0, 0));
    let report = run(world, "warehouse-load", "warehouse");
    let (after, new, changed) = counts(&report);
    assert_eq!(after, read + new, "{report}");
    assert!(
        (100..120).contains(&new) && (150..250).contains(&changed),
        "{report}"
    );
    assert_eq!(count().await, after);
    assert_eq!(
        warehouse.one("SELECT count(*) FROM staging.orders").await,
        "0"
    );

    // The report is what the database itself says.
    let rows = postgres
        .ask("SELECT currency, sum(amount) FROM orders WHERE status <> 'returned' GROUP BY 1")
        .await
        .unwrap();
    let expected: HashMap<_, _> = rows
        .iter()
        .map(|row| (row[0].as_deref().unwrap(), row[1].as_deref().unwrap()))
        .collect();
    let sales = report["result"]["sales"].as_array().unwrap();
    assert_eq!(sales.len(), 5, "{report}");
    assert_eq!(sales.len(), expected.len());
    for line in sales {
        assert_eq!(
            expected[line["currency"].as_str().unwrap()],
            line["total"],
            "{line}"
        );
    }

    // The README shows what a first load of that day answers.
    warehouse.postgres.ask("TRUNCATE orders").await.unwrap();
    let readme = std::fs::read_to_string(example("warehouse-load").join("README.md")).unwrap();
    let shown = readme
        .split("```json")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let shown: Value = serde_json::from_str(shown).unwrap();
    assert_eq!(run(world, "warehouse-load", "warehouse")["result"], shown);

    // Nothing is loaded when the API has nothing: a task that fails, a
    // transaction that never was, a user that is gone.
    let wrong = [
        "run",
        "warehouse-load",
        "--dag-id",
        "warehouse",
        "--input",
        r#"{"until": "x"}"#,
    ];
    let output = world.command(&wrong).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(count().await, after);
    assert_eq!(warehouse.users().await, Vec::<String>::new());
    assert_eq!(warehouse.sessions().await, 0);
    nobody_lives(world.bao().unwrap()).await;
}
