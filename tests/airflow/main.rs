//! The provider in a real Airflow, on a real service and on the real binary, with a
//! real OpenBao behind both.
//!
//! All of it is started once (about 25 s), so these tests have a harness of their own:
//! the last thing that it does is to stop what it started.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test that fails should stop where it fails"
)]

mod bench;
#[allow(dead_code, reason = "shared with the other end-to-end tests")]
#[path = "../common.rs"]
mod common;
mod deferred;
mod ends;
mod examples;
mod ground;
#[allow(dead_code, reason = "shared with the other end-to-end tests")]
#[path = "../guide.rs"]
mod guide;
mod outcomes;
mod pages;
mod remote;
mod secrets;
mod site;
mod wheel;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use libtest_mimic::{Arguments, Failed, Measurement, Trial};
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, RwLock};

use site::Site;

/// What every test gets.
type Shared = Arc<RwLock<OnceCell<Site>>>;

fn main() -> ExitCode {
    let (arguments, filters) = arguments();
    let runtime = Arc::new(Runtime::new().unwrap());
    let shared = Shared::default();
    let mut trials = Trials {
        runtime: Arc::clone(&runtime),
        shared: Arc::clone(&shared),
        list: Vec::new(),
    };
    outcomes::trials(&mut trials);
    examples::trials(&mut trials);
    ends::trials(&mut trials);
    deferred::trials(&mut trials);
    pages::trials(&mut trials);
    remote::trials(&mut trials);
    secrets::trials(&mut trials);
    wheel::trials(&mut trials);
    trials.measure("task_durations", bench::task_durations);
    let mut list = trials.list;
    list.retain(|trial| {
        filters.is_empty() || filters.iter().any(|filter| trial.name().contains(filter))
    });
    let conclusion = libtest_mimic::run(&arguments, list);
    // Before the process ends, or its folders would stay.
    let closed = caught(|| {
        runtime.block_on(async {
            if let Some(site) = shared.write().await.take() {
                site.close().await;
            }
        });
    });
    match closed {
        Ok(()) => conclusion.exit_code(),
        Err(failed) => {
            println!("at the end: {}", failed.message().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// The command line, and its filters: the usual harness takes several, this one does not.
fn arguments() -> (Arguments, Vec<String>) {
    let with_value = [
        "--test-threads",
        "--skip",
        "--color",
        "--format",
        "--logfile",
        "-Z",
    ];
    let (mut rest, mut filters) = (Vec::new(), Vec::new());
    for argument in std::env::args() {
        let is_value = (rest.last()).is_some_and(|it: &String| with_value.contains(&it.as_str()));
        match rest.is_empty() || is_value || argument.starts_with('-') {
            true => rest.push(argument),
            false => filters.push(argument),
        }
    }
    (Arguments::from_iter(rest), filters)
}

/// The tests, as they are collected.
struct Trials {
    runtime: Arc<Runtime>,
    shared: Shared,
    list: Vec<Trial>,
}

impl Trials {
    /// A test beside which others can run.
    fn add(&mut self, name: &str, test: impl AsyncFnOnce(&Site) + Send + 'static) {
        let (runtime, shared) = (Arc::clone(&self.runtime), Arc::clone(&self.shared));
        let trial = Trial::test(name, move || {
            caught(|| {
                runtime.block_on(async {
                    let shared = shared.read().await;
                    test(shared.get_or_init(Site::start).await).await;
                });
            })
        });
        self.list.push(trial);
    }

    /// A test that needs nothing of the rest.
    fn by_itself(&mut self, name: &str, test: fn()) {
        self.list.push(Trial::test(name, move || caught(test)));
    }

    /// A benchmark: runs under `--bench` only.
    fn measure(&mut self, name: &str, bench: impl AsyncFnOnce(&Site) + Send + 'static) {
        let (runtime, shared) = (Arc::clone(&self.runtime), Arc::clone(&self.shared));
        let trial = Trial::bench(name, move |is_test| {
            if is_test {
                return Ok(None);
            }
            let begun = Instant::now();
            runtime.block_on(async {
                let shared = shared.write().await;
                bench(shared.get_or_init(Site::start).await).await;
            });
            // It prints its own tables; the harness wants one number.
            Ok(Some(Measurement {
                avg: begun.elapsed().as_nanos().try_into().unwrap_or(u64::MAX),
                variance: 0,
            }))
        });
        self.list.push(trial);
    }

    /// A test that needs it all to itself, because it stops a part of it.
    fn alone(&mut self, name: &str, test: impl AsyncFnOnce(&mut Site) + Send + 'static) {
        let (runtime, shared) = (Arc::clone(&self.runtime), Arc::clone(&self.shared));
        let trial = Trial::test(name, move || {
            caught(|| {
                runtime.block_on(async {
                    let mut shared = shared.write().await;
                    shared.get_or_init(Site::start).await;
                    test(shared.get_mut().unwrap()).await;
                });
            })
        });
        self.list.push(trial);
    }
}

/// A failed assertion is a failed test and not the end of the others.
fn caught(test: impl FnOnce()) -> Result<(), Failed> {
    std::panic::catch_unwind(AssertUnwindSafe(test)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()));
        Failed::from(text.unwrap_or_default())
    })
}
