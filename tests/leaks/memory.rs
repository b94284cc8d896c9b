//! What a core of the host would hold once an attempt is over.

use std::fs::File;
use std::os::unix::fs::FileExt;

use cofferdam_devkit::proxy::{Fault, Proxy, Rule};
use cofferdam_devkit::upstream::Upstream;
use memchr::memmem;
use serde_json::json;

use crate::common::{SOON, TOKEN, api, ended, install, world};

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
