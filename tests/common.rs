//! What the end-to-end tests share: the binary, its guests, one kind of world.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cofferdam_devkit::journal::Record;
use cofferdam_devkit::openbao::Provision;
use cofferdam_devkit::process::{Guarded, dying_with_us};
use cofferdam_devkit::world::{Finished, World};
use cofferdam_devkit::{guests, openbao::OpenBao};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long a test waits for something that takes milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// The secret of the API in most tests.
pub(crate) const TOKEN: &str = "canary-3b9e77f0c51d4a62";

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_cofferdam"))
}

/// A built guest.
pub(crate) fn guest(name: &str) -> PathBuf {
    guests::component(name).unwrap()
}

/// A world with an OpenBao that holds [`TOKEN`] at `secret/api` and the transit
/// keys `signer` and `box`.
pub(crate) async fn world() -> World {
    let what = Provision {
        kv2: vec![("api", json!({ "token": TOKEN }))],
        kv1: vec![("api", json!({ "token": TOKEN }))],
        transit: vec![("signer", "ed25519"), ("box", "aes256-gcm96")],
    };
    World::with_vault(binary(), &what).await.unwrap()
}

/// A grant of the API at `address` with the bearer token of `secret/api`.
pub(crate) fn api(address: &str) -> String {
    format!(
        "[http.api]\nbase = \"{address}/\"\nallow = [\"GET **\", \"POST **\"]\n\
         network = \"loopback\"\nplain = true\n\
         credential = {{ kv2 = {{ mount = \"secret\", path = \"api\" }} }}\n\
         inject = {{ header = \"Authorization\", value = \"Bearer {{token}}\" }}\n"
    )
}

/// A grant of a transit key.
pub(crate) fn signer(key: &str, allow: &[&str]) -> String {
    format!(
        "[keys.signer]\ntransit = {{ mount = \"transit\", key = \"{key}\" }}\nallow = {allow:?}\n"
    )
}

/// Installs `task` with these grants and writes its policy.
pub(crate) fn install(world: &World, task: &str, component: &str, grants: &str) {
    world.task(task, &guest(component), grants).unwrap();
    world.policy(task).unwrap();
}

/// One GET through the grant `api`.
pub(crate) fn get(path: &str) -> Value {
    json!({ "do": "http", "grant": "api", "path": path })
}

/// Waits until `is_so`; fails when it does not become so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < SOON, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The same where asking takes a while.
pub(crate) async fn becomes(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < SOON, "{what}: not within {SOON:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many attempts of this task have a token, by the word of the server.
pub(crate) async fn alive(bao: &OpenBao, task: &str) -> usize {
    let policy = vec![format!("cofferdam-task-{task}")];
    let living = bao.living_policies().await.unwrap();
    living.iter().filter(|one| **one == policy).count()
}

/// Waits until so many attempts of this task have a token.
pub(crate) async fn minted(bao: &OpenBao, task: &str, at_least: usize) {
    let what = format!("{at_least} tokens of `{task}`");
    becomes(&what, async || alive(bao, task).await >= at_least).await;
}

/// Sends a signal to a process of ours.
pub(crate) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits for a process and reads what it wrote.
pub(crate) fn ended(child: Child) -> Finished {
    Finished::of(child.wait_with_output().unwrap()).unwrap()
}

/// No token but root's lives. The search itself is shown to find one.
pub(crate) async fn nobody_lives(bao: &OpenBao) {
    let policies = bao.living_policies().await.unwrap();
    assert!(policies.is_empty(), "alive: {policies:?}");
    let body = json!({ "policies": ["planted"], "no_parent": true, "ttl": "60s" });
    let (_, made) = bao
        .root("POST", "auth/token/create", Some(body))
        .await
        .unwrap();
    let seen = bao.living_policies().await.unwrap();
    assert!(seen.iter().any(|one| one.contains(&"planted".to_owned())));
    let body = json!({ "accessor": made["auth"]["accessor"] });
    bao.root("POST", "auth/token/revoke-accessor", Some(body))
        .await
        .unwrap();
}

/// `cofferdam sweep --format json`.
pub(crate) fn sweep(world: &World) -> (i32, Value) {
    let output = world
        .command(&["--format", "json", "sweep"])
        .output()
        .unwrap();
    let finished = Finished::of(output).unwrap();
    (finished.code, finished.report().unwrap())
}

/// Who ended this run before its time, by the word of its audit; null when nobody did.
pub(crate) fn canceller(world: &World, run: &str) -> Value {
    let audit = world.audit().unwrap();
    let ended = |line: &&Value| line["event"] == "run_ended" && line["run"] == run;
    let line = audit.iter().find(ended);
    line.unwrap_or_else(|| panic!("run {run} has no end"))["cancelled_by"].clone()
}

/// The records of the journal.
pub(crate) fn journal(world: &World) -> Vec<Record> {
    cofferdam_devkit::journal::written(&world.path("state")).unwrap()
}

/// The billing API of the example as a process of its own, and its address.
pub(crate) fn billing_api(token_file: &Path) -> (Guarded, String) {
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
