//! `hello`: how many runs in a second, and how long one waits at half of that, and at half
//! of what has to be reached; as it is delivered, and with `sync = "all"`, where each end is on
//! the disk before it is told.

use std::path::Path;

use anyhow::Result;
use cofferdam_devkit::guests;
use cofferdam_devkit::world::World;
use serde_json::Value;

use super::service::{Service, number};
use super::{CLIENTS, plot};
use crate::figures::Effort;
use crate::report::{Figure, Report};
use crate::stage::beside;

/// Runs in a second that the service has to reach.
const RATE: f64 = 10_000.0;

/// What the 99th of a hundred may wait at half load, in milliseconds.
const WAIT: f64 = 5.0;

/// The input of `hello`.
pub(super) const INPUT: &str = r#"{"name": "Ada"}"#;

/// What is measured with each end on the disk before it is told.
const ALL: &str = "[server.results]\nsync = \"all\"\n";

const NAMES: [&str; 3] = [
    "serve: hello, runs",
    "serve: hello at half of that, p99",
    "serve: hello at 5,000/s, p99",
];

const NAMES_ALL: [&str; 3] = [
    "serve: hello, all synced, runs",
    "serve: hello, all synced, at half of that, p99",
    "serve: hello, all synced, at 5,000/s, p99",
];

pub(super) fn measure(effort: Effort, report: &mut Report, plot: Option<&Path>) -> Result<()> {
    let service = Hello::start(effort, "")?;
    let reached = service.measure(NAMES, report)?;
    if let Some(file) = plot {
        let mut points = Vec::new();
        for part in 1..=9 {
            let rate = reached * f64::from(part) / 10.0;
            let waited = service.load(&["--rate", &rate.to_string()])?;
            points.push(plot::Point {
                rate,
                p50: number(&waited, "p50")?,
                p99: number(&waited, "p99")?,
            });
        }
        plot::draw(file, &points)?;
    }
    service.service.end()?;
    let synced = Hello::start(effort, ALL)?;
    synced.measure(NAMES_ALL, report)?;
    synced.service.end()
}

/// A service that has run some already.
struct Hello {
    service: Service,
    effort: Effort,
    /// Its folder lives as long.
    _world: World,
}

impl Hello {
    fn start(effort: Effort, config: &str) -> Result<Self> {
        let world = World::bare(&beside("cofferdam")?)?;
        let config = format!("[engine]\ninstances = 128\n{config}");
        world.write("cofferdam.toml", &config)?;
        world.task("hello", &guests::component("hello")?, "")?;
        let service = Self {
            service: Service::start(world.folder())?,
            effort,
            _world: world,
        };
        service.load(&["--runs", "2000"])?;
        Ok(service)
    }

    fn load(&self, more: &[&str]) -> Result<Value> {
        let clients = CLIENTS.to_string();
        let seconds = if self.effort.is_quick() { "2" } else { "8" };
        let all = [&["--clients", &clients, "--seconds", seconds], more].concat();
        self.service.load("hello", INPUT, &all)
    }

    /// Adds the figures; how many runs in a second it reaches.
    fn measure(&self, names: [&'static str; 3], report: &mut Report) -> Result<f64> {
        let [runs, at_half, at_half_rate] = names;
        let reached = number(&self.load(&[])?, "per_second")?;
        let waited = self.load(&["--rate", &(reached / 2.0).to_string()])?;
        let waited_at_half_rate = self.load(&["--rate", &(RATE / 2.0).to_string()])?;
        report.add(Figure::at_least(runs, "/s", (reached, RATE), RATE))?;
        report.add(Figure::at_most(
            at_half,
            "ms",
            (number(&waited, "p99")?, WAIT),
        ))?;
        report.add(Figure::at_most(
            at_half_rate,
            "ms",
            (number(&waited_at_half_rate, "p99")?, WAIT),
        ))?;
        Ok(reached)
    }
}
