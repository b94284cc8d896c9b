//! What hostile guests cost their neighbours: the latency of short attempts at a
//! fixed rate, alone and beside hostile ones, turn by turn in one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cofferdam::audit::{AuditLog, AuditOptions};
use cofferdam::capability::{LogLine, LogSink};
use cofferdam::config::HostConfig;
use cofferdam::engine::Progress;
use cofferdam::identity::{Assurance, IdentityParts};
use cofferdam::run::{Cancellation, Canceller, PreparedTask, RunReport, RunRequest, Runner};
use cofferdam_devkit::upstream::Upstream;
use cofferdam_devkit::world::{DAG, World};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::common::{binary, guest};

/// Between two short attempts.
const EVERY: Duration = Duration::from_millis(4);
/// Short attempts in one turn.
const TURN: u32 = 150;
/// How often the sides take turns.
const TURNS: usize = 5;
/// Hostile guests at once; the runtime has half as many threads.
const HOSTILE: usize = 4;
/// How often a measurement is made before its result counts.
const TRIES: usize = 3;

/// What may be felt of hostile neighbours at the median, the 90th and the 99th
/// percentile, beyond half of what there is without them: the turns are short and
/// the machine is seldom quiet. Before there was a background lane, four loops took
/// the median to 300 ms and the tail to a second.
const SLACK: [Duration; 3] = [
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
];

struct Nobody;

impl LogSink for Nobody {
    fn line(&self, _: LogLine) {}
}

impl Progress for Nobody {
    fn compiling(&self, _: &std::path::Path) {}
    fn compiled(&self) {}
}

/// A task that is loaded.
#[derive(Clone)]
struct Task {
    runner: Runner,
    prepared: PreparedTask,
    name: &'static str,
}

impl Task {
    async fn load(runner: &Runner, name: &'static str) -> Self {
        let task = name.parse().unwrap();
        Self {
            prepared: runner.prepare(&task, Arc::new(Nobody)).await.unwrap(),
            runner: runner.clone(),
            name,
        }
    }

    async fn run(&self, input: &Value, cancel: &Cancellation) -> RunReport {
        let identity = IdentityParts {
            bundle: String::new(),
            dag_id: DAG.to_owned(),
            task_id: self.name.to_owned(),
            run_id: "r".to_owned(),
            try_number: 1,
            map_index: -1,
            logical_date: None,
            assurance: Assurance::Claimed,
        };
        let (name, identity) = (self.name.parse().unwrap(), identity.check().unwrap());
        let request = RunRequest::new(name, identity, input.to_string()).unwrap();
        let (prepared, log) = (Ok(self.prepared.clone()), Arc::new(Nobody));
        self.runner
            .run_prepared(prepared, request, log, cancel.clone())
            .await
    }
}

/// The latencies of short attempts that start at fixed times, whatever became of
/// those before them.
async fn turn(short: &Task) -> Vec<Duration> {
    let (short, runtime) = (short.clone(), Handle::current());
    // On a thread of its own, which nothing holds up.
    let pace = move || {
        let begun = Instant::now();
        let attempt = |number| {
            let due = begun + EVERY * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let short = short.clone();
            runtime.spawn(async move {
                let input = json!({"name": "Ada"});
                let report = short.run(&input, &Cancellation::default()).await;
                assert_eq!(report.exit, 0, "{report:?}");
                due.elapsed()
            })
        };
        (0..TURN).map(attempt).collect::<Vec<_>>()
    };
    let attempts = tokio::task::spawn_blocking(pace).await.unwrap();
    let mut latencies = Vec::new();
    for attempt in attempts {
        latencies.push(attempt.await.unwrap());
    }
    latencies
}

/// Hostile guests, one after the other in each of several places, until they are
/// told to end.
async fn beside(hostile: &Task, input: &Value, short: &Task) -> Vec<Duration> {
    let (cancel, over) = (Cancellation::default(), Arc::new(AtomicBool::new(false)));
    let places: Vec<_> = (0..HOSTILE)
        .map(|_| {
            let (hostile, input) = (hostile.clone(), input.clone());
            let (cancel, over) = (cancel.clone(), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    hostile.run(&input, &cancel).await;
                }
            })
        })
        .collect();
    // Where they settle down is measured too: new ones come all the time.
    tokio::time::sleep(Duration::from_millis(20)).await;
    let latencies = turn(short).await;
    over.store(true, Ordering::Relaxed);
    cancel.ask(Canceller::Caller);
    for place in places {
        place.await.unwrap();
    }
    latencies
}

/// The median, the 90th and the 99th percentile, each of the turn where it was the
/// least: what else goes on in the machine comes and goes, a neighbour that is
/// felt is felt in every turn.
fn quietest(turns: &[Vec<Duration>]) -> [Duration; 3] {
    [50, 90, 99].map(|percent| {
        let of_turns = turns.iter().map(|turn| {
            let mut sorted = turn.clone();
            sorted.sort_unstable();
            sorted[(sorted.len() - 1) * percent / 100]
        });
        of_turns.min().unwrap()
    })
}

/// Processor time of the threads of the background lane: what the hostile guests
/// really did.
fn background() -> Duration {
    let mut ticks = 0;
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        // A thread may end meanwhile.
        let stat = std::fs::read_to_string(thread.unwrap().path().join("stat"));
        let stat = stat.unwrap_or_default();
        let Some((name, rest)) = stat.split_once(") ") else {
            continue;
        };
        if name.ends_with("(background") {
            let numbers: Vec<&str> = rest.split(' ').collect();
            ticks += [numbers[11], numbers[12]]
                .map(|it| it.parse::<u64>().unwrap())
                .iter()
                .sum::<u64>();
            assert_eq!(numbers[16], "19", "niceness in {stat}");
        }
    }
    // A hundred a second, as everywhere on Linux.
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_guests_hardly_move_the_others() {
    let world = World::bare(binary()).unwrap();
    let upstream = Upstream::start().unwrap();
    let hostile = "[limits]\ntimeout = \"60s\"\nmemory = \"64MiB\"\nlog = \"1MiB\"\n\
                   handles = 1000\nhost_calls = 100000000\n";
    let api = format!(
        "\n[http.api]\nbase = \"{}/\"\nallow = [\"GET **\"]\nnetwork = \"loopback\"\nplain = true\n",
        upstream.address()
    );
    world.task("short", &guest("hello"), "").unwrap();
    world.task("base", &guest("probe"), hostile).unwrap();
    let grants = format!("{hostile}{api}");
    world.task("http", &guest("probe-http"), &grants).unwrap();
    let config = HostConfig::load(&world.path("cofferdam.toml")).unwrap();
    // What the disk does to both sides is not asked here.
    let audit = AuditLog::create_with(&config.audit, AuditOptions { sync: false }).unwrap();
    let runner = Runner::with_audit(config, audit).unwrap();
    let short = Task::load(&runner, "short").await;
    let base = Task::load(&runner, "base").await;
    let http = Task::load(&runner, "http").await;
    turn(&short).await;

    let mut felt = Vec::new();
    for (what, task, input) in [
        ("loops", &base, json!({"do": "spin"})),
        ("memory", &base, json!({"do": "memory"})),
        ("log floods", &base, json!({"do": "log_flood"})),
        ("host calls", &base, json!({"do": "host_call_loop"})),
        (
            "handles",
            &http,
            json!({"do": "handles", "grant": "api", "count": 100_000}),
        ),
        (
            "slow readers",
            &http,
            json!({"do": "http", "grant": "api", "path": "big/5000000", "read_max": 1}),
        ),
    ] {
        let mut worst = Vec::new();
        for _ in 0..TRIES {
            let before = background();
            let (mut alone, mut together) = (Vec::new(), Vec::new());
            for _ in 0..TURNS {
                alone.push(turn(&short).await);
                together.push(beside(task, &input, &short).await);
            }
            let worked = background() - before;
            let (alone, together) = (quietest(&alone), quietest(&together));
            let said = format!(
                "{what}: p50, p90, p99 {alone:.1?} alone, {together:.1?} beside; \
                 they worked for {worked:.1?}"
            );
            println!("{said}");
            assert!(worked > Duration::from_millis(50), "{said}");
            let bounds = alone
                .iter()
                .zip(SLACK)
                .map(|(it, slack)| *it * 3 / 2 + slack);
            if together.iter().zip(bounds).all(|(it, bound)| *it <= bound) {
                worst.clear();
                break;
            }
            worst.push(said);
        }
        felt.extend(worst);
    }
    assert!(felt.is_empty(), "{felt:#?}");
}
