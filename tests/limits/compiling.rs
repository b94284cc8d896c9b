//! Compiling: once for each digest, one at a time, at low priority.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cofferdam::config::HostConfig;
use cofferdam::engine::Progress;
use cofferdam::run::Runner;
use cofferdam_devkit::world::World;
use serde_json::json;

use crate::common::{binary, guest, until};
use crate::in_process::attempt;

/// Counts compiles by file, and how many there were at once.
#[derive(Default)]
struct Count {
    by_file: std::sync::Mutex<BTreeMap<String, usize>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Progress for Count {
    fn compiling(&self, path: &Path) {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        *self.by_file.lock().unwrap().entry(file).or_default() += 1;
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn compiled(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Count {
    fn of(&self, file: &str) -> usize {
        self.by_file
            .lock()
            .unwrap()
            .get(file)
            .copied()
            .unwrap_or_default()
    }
}

fn runner(world: &World) -> Runner {
    Runner::new(HostConfig::load(&world.path("cofferdam.toml")).unwrap()).unwrap()
}

/// The niceness of the threads that compile in this process.
fn compiling_threads() -> Vec<String> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end meanwhile.
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
        let stat = stat.unwrap_or_default();
        if let Some((name, rest)) = stat.split_once(") ")
            && name.contains("(compile-")
        {
            found.push(rest.split(' ').nth(16).unwrap().to_owned());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_digest_is_compiled_once_and_none_beside_another() {
    let world = World::bare(binary()).unwrap().cold();
    world.task("one", &guest("probe"), "").unwrap();
    // The same bytes under another name, and others.
    world.task("same", &guest("probe"), "").unwrap();
    world.task("two", &guest("hello"), "").unwrap();
    world.task("first", &guest("second-try"), "").unwrap();
    let (runner, count) = (runner(&world), Arc::new(Count::default()));
    // Before the first guest there is nobody to make way for.
    attempt(&runner, "first", &json!({})).await;
    let mut loads = Vec::new();
    for number in 0..60 {
        let task = ["one", "same", "two"][number % 3].parse().unwrap();
        let (runner, count) = (runner.clone(), Arc::clone(&count));
        loads.push(tokio::spawn(async move {
            runner.prepare(&task, count).await.map(drop)
        }));
    }
    let mut niceness = Vec::new();
    while !loads.iter().all(tokio::task::JoinHandle::is_finished) {
        niceness.extend(compiling_threads());
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    for load in loads {
        load.await.unwrap().unwrap();
    }
    let counts = (count.of("probe.wasm"), count.of("hello.wasm"));
    assert_eq!(counts, (1, 1), "{:?}", count.by_file);
    assert_eq!(count.most.load(Ordering::SeqCst), 1);
    assert!(niceness.iter().any(|nice| nice == "19"), "{niceness:?}");
    // Other tests of this process begin to compile at any moment, and a thread
    // can be seen between its start and its first act.
    until("every thread that compiles is at low priority", || {
        compiling_threads().iter().all(|nice| nice == "19")
    });
}

#[tokio::test]
async fn a_failure_is_no_success_and_is_tried_again() {
    let world = World::bare(binary()).unwrap().cold();
    let file = world.path("broken.wasm");
    // The head of a component, and nothing that could follow it.
    std::fs::write(&file, b"\0asm\x0d\0\x01\0broken").unwrap();
    world.task("broken", &file, "").unwrap();
    let (runner, count) = (runner(&world), Arc::new(Count::default()));
    let task = "broken".parse().unwrap();
    for tries in 1..=3 {
        let Err(error) = runner.prepare(&task, Arc::<Count>::clone(&count)).await else {
            panic!("it was loaded");
        };
        assert!(error.to_string().contains("malformed"), "{error}");
        assert_eq!(count.of("broken.wasm"), tries);
    }
    assert_eq!(count.now.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_costs_time_only() {
    let world = World::bare(binary()).unwrap().cold();
    world.task("one", &guest("hello"), "").unwrap();
    let task = "one".parse().unwrap();
    let count = Arc::new(Count::default());
    for compiled in 1..=2 {
        let runner = runner(&world);
        // Not even root writes into a folder that is gone.
        std::fs::remove_dir_all(world.path("cache")).unwrap();
        for _ in 0..2 {
            runner
                .prepare(&task, Arc::<Count>::clone(&count))
                .await
                .unwrap();
            assert_eq!(count.of("hello.wasm"), compiled);
        }
        assert!(!world.path("cache").exists());
    }
    // With a folder, the next process finds it.
    runner(&world)
        .prepare(&task, Arc::<Count>::clone(&count))
        .await
        .unwrap();
    runner(&world)
        .prepare(&task, Arc::<Count>::clone(&count))
        .await
        .unwrap();
    assert_eq!(count.of("hello.wasm"), 3);
}
