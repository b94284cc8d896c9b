//! A collector that is away, refuses or hangs is nobody's trouble but its own.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use cofferdam::telemetry::FLUSH;
use cofferdam_devkit::collector::{Collector, Mood};
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use super::world::trace;
use crate::common::{binary, guest};

/// What a slow machine may add.
const SLACK: Duration = Duration::from_secs(2);

/// What a run printed, and when.
struct Seen {
    report: Value,
    log: String,
    /// From its report to the end of its process.
    after: Duration,
}

fn run(world: &World) -> Seen {
    let input = json!({"do": "sleep", "ms": 0});
    let mut child = world.run("plain").input(input).command().spawn().unwrap();
    let mut report = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut report).unwrap();
    let printed = Instant::now();
    let status = child.wait().unwrap();
    let after = printed.elapsed();
    assert_eq!(status.code(), Some(0));
    let mut log = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut log)
        .unwrap();
    Seen {
        report: serde_json::from_str(&report).unwrap(),
        log,
        after,
    }
}

fn world(collector: &str) -> World {
    let world = World::bare(binary()).unwrap();
    world.task("plain", &guest("probe"), "").unwrap();
    trace(&world, collector);
    world
}

fn told(seen: &Seen) -> usize {
    seen.log.matches("traces").count()
}

#[test]
fn a_collector_that_is_away_or_refuses_costs_a_line_of_the_log() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let away = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let refusing = Collector::start(Mood::Refuses).unwrap();
    for (address, words) in [
        (away, "the collector cannot be reached"),
        (refusing.address(), "the collector refuses them"),
    ] {
        let seen = run(&world(&address));
        assert_eq!(seen.report["outcome"]["kind"], "done");
        assert!(seen.log.contains(words), "{}", seen.log);
        assert_eq!(told(&seen), 1, "{}", seen.log);
        assert!(seen.after < SLACK, "{:?}", seen.after);
    }
    assert!(!refusing.bodies().is_empty());
}

#[test]
fn a_collector_that_hangs_delays_no_report_and_the_end_for_a_moment() {
    let hanging = Collector::start(Mood::Hangs).unwrap();
    let seen = run(&world(&hanging.address()));
    assert_eq!(seen.report["outcome"]["kind"], "done");
    assert!(!hanging.bodies().is_empty(), "it was asked");
    assert!(
        seen.log.contains("the collector does not answer"),
        "{}",
        seen.log
    );
    assert_eq!(told(&seen), 1, "{}", seen.log);
    // The control: it did hang, and the report was there before.
    assert!(seen.after > FLUSH / 2, "{:?}", seen.after);
    assert!(seen.after < FLUSH + SLACK, "{:?}", seen.after);
}

#[test]
fn settings_that_make_no_sense_are_refused_before_the_run() {
    let world = world("ftp://127.0.0.1");
    let finished = world.run("plain").finish().unwrap();
    assert_eq!(finished.code, 2, "{finished:?}");
    assert!(finished.stderr.contains("telemetry.otlp"), "{finished:?}");
}
