//! What a core of the host would hold once an attempt is over.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::time::{Duration, Instant};

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use memchr::memmem;
use serde_json::json;

use crate::common::{SOON, TOKEN, api, ended, install, until, world};
use crate::sql::world::{EVERYTHING, FIXED, Warehouse};

/// How often the bytes stand in the memory of a process, by region.
fn copies(pid: u32, needle: &[u8]) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        let mut piece = vec![0; 1 << 20];
        let mut at = start;
        while at < end {
            let length = usize::try_from((end - at).min(1 << 20)).unwrap();
            // Parts of a region may not be readable; guard pages are not.
            if memory.read_at(&mut piece[..length], at).is_ok() {
                let count = memmem::find_iter(&piece[..length], needle).count();
                found.extend(std::iter::repeat_n(line.to_owned(), count));
            }
            at += 1 << 20;
        }
    }
    found
}

#[tokio::test]
async fn no_copy_of_a_secret_outlives_the_attempt_in_memory() {
    let world = world().await;
    let upstream = Upstream::start().unwrap();
    let wire = Proxy::start(upstream.socket()).unwrap();
    let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
    install(&world, "caller", "probe-http", &api(&wire.address()));
    world.vault_at(&vault.address()).unwrap();
    let calling = wire.inject(Rule::on("GET", "reflect", Fault::HoldRequest).times(1));
    // The last request of the process: the attempt is over and sealed.
    let closing = vault.inject(Rule::on("POST", "revoke-self", Fault::HoldRequest).times(1));
    let input = json!({"do": "http", "grant": "api", "path": "reflect/raw"});
    let child = world.run("caller").input(input).command().spawn().unwrap();

    // Positive control: while it is used it is there, and the search finds it.
    calling.wait_hit(SOON).unwrap();
    assert!(!copies(child.id(), TOKEN.as_bytes()).is_empty());
    calling.release();
    closing.wait_hit(SOON).unwrap();
    let left = copies(child.id(), TOKEN.as_bytes());
    closing.release();
    assert_eq!(ended(child).code, 0);
    assert_eq!(left, Vec::<String>::new(), "copies after the attempt");
}

#[tokio::test]
async fn no_copy_of_a_database_password_outlives_the_attempt_in_memory() {
    let warehouse = Warehouse::start().await;
    let world = &warehouse.world;
    warehouse.grant("fixed", FIXED, EVERYTHING, "");
    let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
    world.vault_at(&vault.address()).unwrap();
    let closing = vault.inject(Rule::on("POST", "revoke-self", Fault::HoldRequest).times(1));
    let input = json!({"do": "sql", "grant": "db", "steps": [
        {"query": {"sql": "SELECT id FROM orders"}},
        {"sleep": {"ms": 1_500}},
    ]});
    let child = world.run("fixed").input(input).command().spawn().unwrap();

    // Positive control: the host has it for as long as the attempt may need it.
    until("the host has the password", || {
        !copies(child.id(), TOKEN.as_bytes()).is_empty()
    });
    closing.wait_hit(SOON).unwrap();
    let left = copies(child.id(), TOKEN.as_bytes());
    closing.release();
    let finished = ended(child);
    assert_eq!(finished.code, 0, "{finished:?}");
    assert_eq!(left, Vec::<String>::new(), "copies after the attempt");
}

#[tokio::test]
async fn a_shared_secret_is_wiped_when_its_time_is_over_and_never_on_disk() {
    let world = world().await;
    let vault = Proxy::start(world.bao().unwrap().socket()).unwrap();
    let kept = Duration::from_secs(2);
    let reveal = "[reveal.legacy]\nreason = \"test\"\n\
        credential = { kv2 = { mount = \"secret\", path = \"api\", field = \"token\", \
        cache_ttl = \"2s\" } }\n";
    install(&world, "teller", "probe-reveal", reveal);
    world.vault_at(&vault.address()).unwrap();
    // Something for the process's own sweep: the end of the process waits for
    // it, for up to 5 s, and nothing else lives by then.
    let left = json!({
        "form": 1, "kind": "attempt", "id": "left", "task": "teller",
        "server": vault.address(),
        "created": "2026-01-01T00:00:00Z", "expires": "2999-01-01T00:00:00Z",
    });
    let made = json!({"accessor": "of-nobody-0123456789"});
    let journal = world.path("state/journal");
    for folder in [world.path("state"), journal.clone()] {
        let _ = std::fs::DirBuilder::new().mode(0o700).create(folder);
    }
    world
        .write(
            "state/journal/attempt-left.json",
            &format!("{left}\n{made}\n"),
        )
        .unwrap();
    let never = || Rule::on("POST", "revoke-accessor", Fault::NeverAnswer);
    let sweep = vault.inject(never().times(1));
    // The attempt's own passes, and the sweep's next tries do not.
    let _again = vault.inject(never().skip(1));
    let input = json!({"do": "reveal", "grant": "legacy"});
    let child = world.run("teller").input(input).command().spawn().unwrap();

    sweep.wait_hit(SOON).unwrap();
    let audit = || {
        let files = std::fs::read_dir(world.path("audit")).into_iter().flatten();
        let texts = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
        texts.collect::<String>()
    };
    until("the run ends", || audit().contains("\"run_ended\""));
    let over = Instant::now();
    std::thread::sleep(Duration::from_millis(100));
    // Positive control: the attempt is over, and the secret is still there.
    assert!(!copies(child.id(), TOKEN.as_bytes()).is_empty());
    assert!(over.elapsed() < kept, "{:?}", over.elapsed());
    let files = walkdir::WalkDir::new(world.folder()).into_iter();
    for file in files.map(|file| file.unwrap().into_path()) {
        if file.is_file() {
            let bytes = std::fs::read(&file).unwrap();
            let found = memmem::find(&bytes, TOKEN.as_bytes());
            assert!(found.is_none(), "{}", file.display());
        }
    }
    std::thread::sleep(kept.saturating_sub(over.elapsed()) + Duration::from_millis(200));
    let after = copies(child.id(), TOKEN.as_bytes());
    assert_eq!(after, Vec::<String>::new(), "copies after its time");
    ended(child);
}
