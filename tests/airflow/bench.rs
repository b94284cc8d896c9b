//! How long a task takes under the real scheduler, by operator: `cargo xtask bench airflow`.
//!
//! All of it in one run on one machine, every operator's turn after the other's, so that
//! what the machine does besides falls on all of them alike. Those with a bound come first.

use std::collections::BTreeMap;

use serde_json::json;

use super::site::{LONG, Site};

/// How often each has its turn; a first one, which warms up, is not counted.
const TURNS: usize = 20;

/// A DAG, what its task is, and the DAG against which it is held, with the bound.
type Row = (&'static str, &'static str, Option<(&'static str, f64)>);

const NOTHING: Row = ("bench_python", "PythonOperator, does nothing", None);

/// Ours, and those against which they are held.
const OURS: [Row; 6] = [
    NOTHING,
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

/// What else keeps a step apart.
const OTHERS: [Row; 6] = [
    NOTHING,
    (
        "bench_bash",
        "BashOperator, `true`",
        Some(("bench_python", f64::INFINITY)),
    ),
    (
        "bench_external",
        "ExternalPythonOperator, does nothing",
        Some(("bench_python", f64::INFINITY)),
    ),
    (
        "bench_venv_cached",
        "PythonVirtualenvOperator, cached",
        Some(("bench_python", f64::INFINITY)),
    ),
    (
        "bench_venv_fresh",
        "PythonVirtualenvOperator, fresh, by pip",
        Some(("bench_python", f64::INFINITY)),
    ),
    (
        "bench_venv_uv",
        "PythonVirtualenvOperator, fresh, by uv",
        Some(("bench_python", f64::INFINITY)),
    ),
];

/// Measures, and prints the tables of docs/PERFORMANCE.md.
pub(super) async fn task_durations(site: &Site) {
    for file in ["python", "ours", "others", "uv"] {
        site.give_dag(&format!("bench_{file}.py"));
    }
    for rows in [&OURS[..], &OTHERS] {
        let names: Vec<&str> = rows.iter().map(|(dag, _, _)| *dag).collect();
        site.airflow.api().knows(&names, LONG).await.unwrap();
        measure(site, rows).await;
    }
}

async fn measure(site: &Site, rows: &[Row]) {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    for turn in 0..=TURNS {
        for (dag, _, _) in rows {
            let before = site.world.bao().unwrap().answers().unwrap().len();
            let run = site.airflow.api().trigger(dag, json!({})).await.unwrap();
            let state = site.airflow.api().ended(dag, &run, LONG).await.unwrap();
            let log = site.log(dag, &run, 1);
            assert_eq!(state, "success", "{:#?}", log.await);
            let step = site.airflow.api().instance(dag, &run, "step", -1).await;
            if turn > 0 {
                let duration = step.unwrap().duration().unwrap();
                times.entry(dag).or_default().push(duration);
                let after = site.world.bao().unwrap().answers().unwrap().len();
                *asked.entry(dag).or_default() += after - before;
            }
        }
    }
    let median = |dag: &str| {
        let mut times = times[dag].clone();
        times.sort_by(f64::total_cmp);
        let middle = times.len() / 2;
        f64::midpoint(times[middle - 1], times[middle]) * 1_000.0
    };
    let mut missed = Vec::new();
    println!("| operator | median of {TURNS}, ms | ratio | bound | requests to Vault |");
    println!("|---|---|---|---|---|");
    for (dag, what, held) in rows {
        let ratio = held.map(|(other, _)| median(dag) / median(other));
        let verdict = match (ratio, held) {
            (Some(ratio), Some((_, bound))) if bound.is_finite() => {
                let is_held = ratio <= *bound;
                if !is_held {
                    missed.push(*what);
                }
                format!("{bound} {}", if is_held { "held" } else { "missed" })
            }
            _ => String::new(),
        };
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let asked = asked[dag] as f64 / TURNS as f64;
        let median = median(dag);
        println!("| {what} | {median:.0} | {ratio} | {verdict} | {asked:.1} |");
    }
    if std::env::var_os("COFFERDAM_BENCH_CHECK").is_some() {
        assert!(missed.is_empty(), "over their bounds: {missed:?}");
    }
}
