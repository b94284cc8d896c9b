//! `hello`: how many runs in a second, audit and results synced, and how long one
//! waits at half of that, and at half of what has to be reached.

use std::path::Path;

use anyhow::Result;
use cofferdam_devkit::guests;
use cofferdam_devkit::world::World;

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

pub(super) fn measure(effort: Effort, report: &mut Report, plot: Option<&Path>) -> Result<()> {
    let world = World::bare(&beside("cofferdam")?)?;
    world.write("cofferdam.toml", "[engine]\ninstances = 128\n")?;
    world.task("hello", &guests::component("hello")?, "")?;
    let service = Service::start(world.folder())?;
    let clients = CLIENTS.to_string();
    let seconds = if effort.is_quick() { "2" } else { "8" };
    let load = |more: &[&str]| {
        let all = [&["--clients", &clients, "--seconds", seconds], more].concat();
        service.load("hello", INPUT, &all)
    };
    // Once to warm up.
    load(&["--runs", "2000"])?;
    let reached = number(&load(&[])?, "per_second")?;
    let waited = load(&["--rate", &(reached / 2.0).to_string()])?;
    let waited_at_half_rate = load(&["--rate", &(RATE / 2.0).to_string()])?;
    report.add(Figure::at_least(
        "serve: hello, runs",
        "/s",
        (reached, RATE),
        RATE,
    ))?;
    report.add(Figure::at_most(
        "serve: hello at half of that, p99",
        "ms",
        (number(&waited, "p99")?, WAIT),
    ))?;
    report.add(Figure::at_most(
        "serve: hello at 5,000/s, p99",
        "ms",
        (number(&waited_at_half_rate, "p99")?, WAIT),
    ))?;
    if let Some(file) = plot {
        let mut points = Vec::new();
        for part in 1..=9 {
            let rate = reached * f64::from(part) / 10.0;
            let waited = load(&["--rate", &rate.to_string()])?;
            points.push(plot::Point {
                rate,
                p50: number(&waited, "p50")?,
                p99: number(&waited, "p99")?,
            });
        }
        plot::draw(file, &points)?;
    }
    service.end()
}
