//! How long a task takes under the real scheduler, by operator: `cargo xtask bench airflow`.
//!
//! All of it in one run on one machine, every operator's turn after the other's, so that
//! what the machine does besides falls on all of them alike.

use std::collections::BTreeMap;

use serde_json::json;

use super::site::{LONG, Site};

/// How often each has its turn; a first one, which warms up, is not counted.
const TURNS: usize = 20;

/// A DAG, what its task is, and the DAG against which it is held, with the bound.
type Row = (&'static str, &'static str, Option<(&'static str, f64)>);

/// The operators, and those against which they are held, with the bound if there is one.
const OPERATORS: [Row; 10] = [
    ("bench_python", "PythonOperator, does nothing", None),
    ("bench_bash", "BashOperator, `true`", None),
    (
        "bench_external",
        "ExternalPythonOperator, does nothing",
        None,
    ),
    ("bench_venv_fresh", "PythonVirtualenvOperator, fresh", None),
    (
        "bench_venv_cached",
        "PythonVirtualenvOperator, cached",
        None,
    ),
    (
        "bench_service",
        "CofferdamOperator, does nothing, service",
        Some(("bench_python", 1.2)),
    ),
    (
        "bench_laptop",
        "CofferdamOperator, does nothing, local binary",
        Some(("bench_python", 1.5)),
    ),
    (
        "bench_hook",
        "VaultHook in PythonOperator: secret and API",
        None,
    ),
    (
        "bench_call_service",
        "CofferdamOperator, the same job, service",
        Some(("bench_hook", 1.0)),
    ),
    (
        "bench_call_laptop",
        "CofferdamOperator, the same job, local binary",
        Some(("bench_hook", 1.0)),
    ),
];

/// Measures, and prints the table of docs/PERFORMANCE.md.
pub(super) async fn task_durations(site: &Site) {
    site.give_dag("bench.py");
    let names: Vec<&str> = OPERATORS.iter().map(|(dag, _, _)| *dag).collect();
    site.airflow.api().knows(&names, LONG).await.unwrap();
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    for turn in 0..=TURNS {
        for (dag, _, _) in OPERATORS {
            let before = site.world.bao().unwrap().answers().unwrap().len();
            let run = site.airflow.api().trigger(dag, json!({})).await.unwrap();
            let state = site.airflow.api().ended(dag, &run, LONG).await.unwrap();
            let log = site.log(dag, &run, 1);
            assert_eq!(state, "success", "{:#?}", log.await);
            let step = site.airflow.api().instance(dag, &run, "step", -1).await;
            if turn > 0 {
                times
                    .entry(dag)
                    .or_default()
                    .push(step.unwrap().duration().unwrap());
                let after = site.world.bao().unwrap().answers().unwrap().len();
                *asked.entry(dag).or_default() += after - before;
            }
        }
    }
    let median = |dag: &str| {
        let mut times = times[dag].clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2] * 1_000.0
    };
    println!("| operator | median of {TURNS}, ms | ratio | bound | requests to Vault |");
    println!("|---|---|---|---|---|");
    for (dag, what, bound) in OPERATORS {
        let (ratio, bound) = match bound {
            Some((other, bound)) => {
                let ratio = median(dag) / median(other);
                let word = if ratio <= bound { "held" } else { "missed" };
                (format!("{ratio:.2}"), format!("{bound} {word}"))
            }
            None => (String::new(), String::new()),
        };
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let asked = asked[dag] as f64 / TURNS as f64;
        println!(
            "| {what} | {:.0} | {ratio} | {bound} | {asked:.1} |",
            median(dag)
        );
    }
}
