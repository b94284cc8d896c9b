//! SQL through the capability, against the bare driver on an open connection.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Effort, MICRO, MILLI, median};
use crate::baseline::Baseline;
use crate::report::Figure;
use crate::warehouse::{KEY, POINT, ROWS, Warehouse, forget_peak, input, peak, point};

/// Queries of an attempt with some, and how many more one with many has.
const SOME: usize = 101;
const MORE: usize = 500;

/// A chunk of a `COPY`, in lines of 100 bytes.
const LINES: usize = 640;
/// So many chunks are 100 MB (10^6 bytes) and a little.
const CHUNKS: usize = 1_563;

pub(crate) async fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let warehouse = Warehouse::set().await?;
    let mut baseline = Baseline::start()?;
    let mut figures = vec![
        attempt(&warehouse, &mut baseline, effort).await?,
        one_row(&warehouse, &mut baseline, effort).await?,
    ];
    let idle = idle(&warehouse).await?;
    figures.extend(rows(&warehouse, &mut baseline, effort, idle).await?);
    figures.extend(copy(&warehouse, &mut baseline, effort, idle).await?);
    Ok(figures)
}

/// A whole attempt with one query.
async fn attempt(warehouse: &Warehouse, baseline: &mut Baseline, effort: Effort) -> Result<Figure> {
    let host = warehouse.host(true).await?;
    let one = input(&[point()]);
    let batch = effort.batch / 4;
    let bare = json!({
        "op": "borrow", "plan": warehouse.plan()?, "database": warehouse.database(),
        "statement": {"sql": POINT, "param": KEY}, "n": batch,
    });
    host.batch(&one, batch).await?;
    baseline.batch(&bare)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        ours.extend(host.batch(&one, batch).await?);
        theirs.extend(baseline.batch(&bare)?);
    }
    host.close(&one).await?;
    let pair = (median(ours, MILLI), median(theirs, MILLI));
    let name = "sql attempt: a user, one query, both gone";
    Ok(Figure::ratio(name, "ms", pair, 1.15))
}

/// One row by its key: what an attempt with many queries takes longer than one
/// with some, so that neither its own time nor a cold server counts.
async fn one_row(warehouse: &Warehouse, baseline: &mut Baseline, effort: Effort) -> Result<Figure> {
    let host = warehouse.host(false).await?;
    let [some, many] = [SOME, SOME + MORE].map(|queries| input(&vec![point(); queries]));
    let bare = json!({
        "op": "query", "database": warehouse.database(),
        "statement": {"sql": POINT, "param": KEY}, "n": SOME + MORE,
    });
    host.batch(&many, 2).await?;
    baseline.batch(&bare)?;
    let (mut with_some, mut with_many, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let more = u64::try_from(MORE)?;
    for _ in 0..effort.rounds * 2 {
        with_some.extend(host.batch(&some, 2).await?);
        with_many.extend(host.batch(&many, 2).await?);
        let one_by_one = baseline.batch(&bare)?;
        theirs.push(one_by_one.iter().skip(SOME).sum::<u64>() / more);
    }
    host.close(&some).await?;
    let (with_some, with_many) = (median(with_some, MICRO), median(with_many, MICRO));
    let ours = (with_many - with_some) / f64::from(u32::try_from(MORE)?);
    let theirs = median(theirs, MICRO);
    // 1.2 times and 20 µs.
    let most = 0.2 * theirs + 20.0;
    let name = "sql point: one row by its key";
    Ok(Figure::over(name, "µs", (ours, theirs), most))
}

/// All rows of a table.
async fn rows(
    warehouse: &Warehouse,
    baseline: &mut Baseline,
    effort: Effort,
    idle: f64,
) -> Result<[Figure; 2]> {
    let sql = "SELECT id, body FROM notes";
    let all = json!({"rows": {"sql": sql}});
    let bare = json!({
        "op": "query", "database": warehouse.database(), "statement": {"sql": sql}, "n": 1,
    });
    let names = [
        "sql rows: a million of them",
        "sql rows: peak memory over idle",
    ];
    let [rate, memory] = names;
    let (ours, theirs, used) = bulk(warehouse, baseline, &all, &bare, effort).await?;
    let used = (used, idle);
    let per_second = |seconds: f64| f64::from(ROWS) / seconds;
    Ok([
        Figure::reaches(rate, "/s", (per_second(ours), per_second(theirs)), 0.5),
        Figure::over(memory, "MB", used, 64.0),
    ])
}

/// 100 MB into a table.
async fn copy(
    warehouse: &Warehouse,
    baseline: &mut Baseline,
    effort: Effort,
    idle: f64,
) -> Result<[Figure; 2]> {
    let sql = "COPY loaded (body) FROM STDIN";
    let chunk = format!("{}\n", "x".repeat(99)).repeat(LINES);
    let load = json!({"copy_in": {"sql": sql, "chunks": [chunk], "times": CHUNKS}});
    let bare = json!({
        "op": "copy", "database": warehouse.database(),
        "data": {"sql": sql, "chunk": chunk, "times": CHUNKS}, "n": 1,
    });
    let (ours, theirs, used) = bulk(warehouse, baseline, &load, &bare, effort).await?;
    let used = (used, idle);
    let megabytes = f64::from(u32::try_from(LINES * CHUNKS * 100)?) / 1e6;
    let pair = (megabytes / ours, megabytes / theirs);
    Ok([
        Figure::reaches("sql copy: 100 MB into a table", "MB/s", pair, 0.7),
        Figure::over("sql copy: peak memory over idle", "MB", used, 64.0),
    ])
}

/// The most memory that the host has while it serves attempts with one row,
/// before it has ever served a larger one.
async fn idle(warehouse: &Warehouse) -> Result<f64> {
    let host = warehouse.host(false).await?;
    let one = input(&[point()]);
    host.batch(&one, 5).await?;
    forget_peak()?;
    host.batch(&one, 1).await?;
    let idle = peak()?;
    host.close(&one).await?;
    Ok(idle)
}

/// Seconds that one step takes on either side, and the most memory that our side
/// had with it.
async fn bulk(
    warehouse: &Warehouse,
    baseline: &mut Baseline,
    step: &Value,
    bare: &Value,
    effort: Effort,
) -> Result<(f64, f64, f64)> {
    const SECOND: f64 = 1e9;
    let host = warehouse.host(false).await?;
    let (one, much) = (input(&[point()]), input(std::slice::from_ref(step)));
    warehouse.empty().await?;
    host.batch(&much, 1).await?;
    baseline.batch(bare)?;
    let (mut ours, mut theirs, mut used) = (Vec::new(), Vec::new(), 0_f64);
    for _ in 0..effort.rounds.div_ceil(4) {
        warehouse.empty().await?;
        let single = host.batch(&one, 3).await?.into_iter().min();
        forget_peak()?;
        let all = host.batch(&much, 1).await?;
        used = used.max(peak()?);
        let all = all.first().context("nothing was measured")?;
        ours.push(all.saturating_sub(single.unwrap_or_default()));
        warehouse.empty().await?;
        theirs.extend(baseline.batch(bare)?);
    }
    host.close(&one).await?;
    Ok((median(ours, SECOND), median(theirs, SECOND), used))
}
