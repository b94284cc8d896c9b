//! The soak: very many runs through one service, some of which meet a fault.
//! Memory must stay flat, nothing may be left alive, the audit must verify.

use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use cofferdam_devkit::guests;
use cofferdam_devkit::openbao::Provision;
use cofferdam_devkit::process::Background;
use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::world::World;
use futures_util::stream::iter;
use serde_json::{Value, json};

use super::hello::INPUT;
use super::service::{Service, number};
use crate::stage::beside;

/// One in so many answers of the API breaks off.
const FAULTY: u64 = 100;

/// One in so many secrets is not read at once, one in so many tokens not made, and of one in
/// so many revocations it is not known whether they were: Vault is asked again, but for the
/// token.
const UNREAD: u64 = 70;
const UNMADE: u64 = 110;
const UNKNOWN: u64 = 90;

/// What memory may grow by from the second fifth to the end, in MB, beyond a tenth. Five
/// soaks differed by 3 MB at most; a short one is still growing warm.
const GROWTH: f64 = 8.0;

/// Parts in which the runs are made; memory is looked at after each.
const PARTS: u64 = 5;

/// How many runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Soak {
    /// Of `hello`.
    pub(crate) hello: u64,
    /// With a secret and a call of an API.
    pub(crate) secret: u64,
}

/// Soaks, and tells what was seen as one JSON document.
pub(crate) async fn soak(soak: Soak) -> Result<Value> {
    let what = Provision {
        kv2: vec![("api", json!({ "token": "soak-token-91b3d0aa" }))],
        ..Provision::default()
    };
    let mut world = World::with_vault(&beside("cofferdam")?, &what).await?;
    let (api, faults, _serving) = faulty_api()?;
    let vault = Proxy::forgetful(world.bao()?.socket())?;
    world.vault_at(&vault.address())?;
    let unavailable = Fault::Status(503, None);
    let unread = vault.inject(Rule::on("GET", "secret/data/api", unavailable).every(UNREAD));
    let unmade = vault.inject(Rule::on("*", "auth/token/create", Fault::Reset).every(UNMADE));
    let unknown = Rule::on("*", "/revoke", Fault::ResetAfterAnswer).every(UNKNOWN);
    let unknown = vault.inject(unknown);
    let config = std::fs::read_to_string(world.path("cofferdam.toml"))?;
    let more = "[engine]\ninstances = 128\n\n[server]\naudit_file = \"64MiB\"\n\n\
                [server.results]\nmost = 1_000\n";
    world.write("cofferdam.toml", &format!("{config}\n{more}"))?;
    world.task("hello", &guests::component("hello")?, "")?;
    let grants = format!(
        "[http.api]\nbase = \"{api}/\"\nallow = [\"GET **\"]\nnetwork = \"loopback\"\n\
         plain = true\ncredential = {{ kv2 = {{ mount = \"secret\", path = \"api\" }} }}\n\
         inject = {{ header = \"Authorization\", value = \"Bearer {{token}}\" }}\n"
    );
    world.task("secret", &guests::component("probe-http")?, &grants)?;
    world.policy("secret")?;

    let service = Service::start(world.folder())?;
    let fetch = r#"{"do": "fetch", "grant": "api", "path": "item", "times": 1}"#;
    let (mut resident, mut failures) = (Vec::new(), 0.0);
    for _ in 0..PARTS {
        let hello = count(soak.hello / PARTS, 64);
        let driven = service.load("hello", INPUT, &as_text(&hello))?;
        ensure!(
            number(&driven, "failures")? == 0.0,
            "a hello failed: {driven}"
        );
        let secret = count(soak.secret / PARTS, 32);
        let secret = [&as_text(&secret)[..], &["--tolerant"]].concat();
        failures += number(&service.load("secret", fetch, &secret)?, "failures")?;
        resident.push(service.resident()?);
    }
    let faults = faults.load(Ordering::Relaxed);
    let [unread, unmade, unknown] = [unread, unmade, unknown].map(|injected| injected.hits());
    let met = [faults, unread, unmade, unknown];
    ensure!(met.iter().all(|hits| *hits > 0), "not all met: {met:?}");
    // A token that was not made is the only one of Vault's faults that a run dies of.
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let fatal = (faults + unmade) as f64;
    ensure!(failures == fatal, "faults {met:?}, {failures} failures");
    let living = world.bao()?.living().await?.len();
    service.end()?;
    let left = world.bao()?.living().await?.len();
    // Positive control: the service's own log-in was seen while it lived.
    ensure!(living > 0, "not even the log-in was seen alive");
    ensure!(left == 0, "{left} tokens are alive");
    let files = verify(&world)?;
    let (early, late) = (at(&resident, 1)?, at(&resident, 4)?);
    ensure!(
        late <= early * 1.1 + GROWTH,
        "memory grew from {early} to {late} MB: {resident:?}"
    );
    let minted = world.bao()?.minted()?;
    world.take_bao()?.stop();
    Ok(json!({
        "hello": soak.hello, "secret": soak.secret, "faults": faults, "unread": unread,
        "unmade": unmade, "unknown": unknown, "minted": minted,
        "alive": left, "audit_files": files, "resident_mb": resident,
    }))
}

fn count(runs: u64, clients: u32) -> [(&'static str, String); 3] {
    [
        ("--runs", runs.to_string()),
        ("--clients", clients.to_string()),
        ("--seconds", "86400".to_owned()),
    ]
}

fn as_text<'a>(options: &'a [(&'static str, String); 3]) -> Vec<&'a str> {
    let pairs = options.iter();
    pairs
        .flat_map(|(name, value)| [*name, value.as_str()])
        .collect()
}

fn at(resident: &[f64], part: usize) -> Result<f64> {
    resident
        .get(part)
        .copied()
        .context("memory was not looked at")
}

/// Lets our own command check every file of the audit; how many there are.
fn verify(world: &World) -> Result<usize> {
    let done = Command::new(beside("cofferdam")?)
        .args(["--format", "json", "audit", "verify"])
        .current_dir(world.folder())
        .output()?;
    let report: Value = serde_json::from_slice(&done.stdout).context("no report")?;
    ensure!(done.status.success(), "the audit does not verify: {report}");
    let files = report.get("files").and_then(Value::as_array);
    Ok(files.context("no files")?.len())
}

/// An API of which some calls fail; its address, and how many did.
fn faulty_api() -> Result<(String, Arc<AtomicU64>, Background)> {
    let faults = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&faults);
    let (address, serving) = Background::listen(|listener| async move {
        let calls = Arc::new(AtomicU64::new(0));
        let item = move || {
            let number = calls.fetch_add(1, Ordering::Relaxed);
            let is_fault = number % FAULTY == FAULTY - 1;
            counted.fetch_add(u64::from(is_fault), Ordering::Relaxed);
            async move {
                let begun = Ok("x".repeat(200));
                match is_fault {
                    // The connection breaks within the body.
                    true => Body::from_stream(iter([begun, Err(io::Error::other("broken"))])),
                    false => Body::from_stream(iter([begun])),
                }
            }
        };
        // Ends with the thread; whoever calls then sees it.
        let _ = axum::serve(listener, Router::new().route("/item", get(item))).await;
    })?;
    Ok((format!("http://{address}"), faults, serving))
}
