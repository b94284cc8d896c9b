//! How long runs took, from the moment they were due.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// The times of some runs.
pub(crate) struct Times {
    micros: Histogram<u64>,
    failures: u64,
}

/// The longest that is told apart, in microseconds: two minutes.
const LONGEST: u64 = 120_000_000;

impl Times {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            micros: Histogram::new_with_bounds(1, LONGEST, 3)?,
            failures: 0,
        })
    }

    pub(crate) fn note(&mut self, took: Duration, is_good: bool) -> Result<()> {
        let micros = u64::try_from(took.as_micros())?.clamp(1, LONGEST);
        self.micros.record(micros)?;
        self.failures += u64::from(!is_good);
        Ok(())
    }

    pub(crate) fn add(&mut self, other: Self) -> Result<()> {
        self.micros.add(other.micros)?;
        self.failures += other.failures;
        Ok(())
    }

    pub(crate) fn runs(&self) -> u64 {
        self.micros.len()
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    /// Times in milliseconds.
    pub(crate) fn report(&self, took: Duration) -> Value {
        let at = |quantile| self.micros.value_at_quantile(quantile) as f64 / 1e3;
        json!({
            "runs": self.runs(),
            "failures": self.failures,
            "seconds": took.as_secs_f64(),
            "per_second": self.runs() as f64 / took.as_secs_f64(),
            "p50": at(0.5),
            "p90": at(0.9),
            "p99": at(0.99),
            "p999": at(0.999),
            "max": self.micros.max() as f64 / 1e3,
        })
    }
}
