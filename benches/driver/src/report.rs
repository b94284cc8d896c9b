//! What was measured.

use std::io::Write;

use anyhow::Result;
use comfy_table::{Table, presets};
use serde::Serialize;

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: &'static str,
    /// Ours.
    pub(crate) value: f64,
    /// Of `value` and `baseline`.
    pub(crate) unit: &'static str,
    /// The bare work in the same run.
    pub(crate) baseline: f64,
    /// `value / baseline`.
    pub(crate) ratio: f64,
    /// What may not be exceeded, in words and as a number.
    #[serde(flatten)]
    pub(crate) bound: Bound,
}

/// What a figure may not exceed.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Bound {
    /// `ratio`, `difference` in the figure's unit, `at_least` as a ratio,
    /// `value`, or `least` in the figure's unit.
    pub(crate) bound_on: &'static str,
    /// The most that is allowed; the least for `at_least` and `least`.
    pub(crate) bound: f64,
    /// What it is.
    pub(crate) measured: f64,
}

impl Figure {
    /// Bounded as a multiple of the baseline.
    pub(crate) fn ratio(
        name: &'static str,
        unit: &'static str,
        (value, baseline): (f64, f64),
        most: f64,
    ) -> Self {
        let ratio = value / baseline;
        Self {
            name,
            value,
            unit,
            baseline,
            ratio,
            bound: Bound {
                bound_on: "ratio",
                bound: most,
                measured: ratio,
            },
        }
    }

    /// Bounded as a difference from the baseline.
    pub(crate) fn over(
        name: &'static str,
        unit: &'static str,
        (value, baseline): (f64, f64),
        most: f64,
    ) -> Self {
        Self {
            name,
            value,
            unit,
            baseline,
            ratio: value / baseline,
            bound: Bound {
                bound_on: "difference",
                bound: most,
                measured: value - baseline,
            },
        }
    }

    /// A rate that must reach a part of the baseline's.
    pub(crate) fn reaches(
        name: &'static str,
        unit: &'static str,
        pair: (f64, f64),
        least: f64,
    ) -> Self {
        let mut figure = Self::ratio(name, unit, pair, least);
        figure.bound.bound_on = "at_least";
        figure
    }

    /// A rate with a bound of its own, beside the baseline's.
    pub(crate) fn at_least(
        name: &'static str,
        unit: &'static str,
        pair: (f64, f64),
        least: f64,
    ) -> Self {
        let mut figure = Self::ratio(name, unit, pair, least);
        figure.bound.bound_on = "least";
        figure.bound.measured = figure.value;
        figure
    }

    /// A count that has a bound of its own.
    pub(crate) fn at_most(
        name: &'static str,
        unit: &'static str,
        (value, most): (f64, f64),
    ) -> Self {
        Self {
            name,
            value,
            unit,
            baseline: most,
            ratio: value / most.max(1.0),
            bound: Bound {
                bound_on: "value",
                bound: most,
                measured: value,
            },
        }
    }

    fn is_within(&self) -> bool {
        let Bound {
            bound_on,
            bound,
            measured,
        } = self.bound;
        match bound_on {
            "at_least" | "least" => measured >= bound,
            _ => measured <= bound,
        }
    }
}

/// Prints one document.
pub(crate) fn print(document: &serde_json::Value) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{document:#}")?)
}

/// Collects figures and prints them.
pub(crate) struct Report {
    is_json: bool,
    figures: Vec<Figure>,
}

impl Report {
    pub(crate) fn new(is_json: bool) -> Self {
        Self {
            is_json,
            figures: Vec::new(),
        }
    }

    /// Prints at once as JSON, or with the others as a table.
    pub(crate) fn add(&mut self, figure: Figure) -> Result<()> {
        if self.is_json {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer(&mut out, &figure)?;
            out.write_all(b"\n")?;
        }
        self.figures.push(figure);
        Ok(())
    }

    /// Prints the table. Whether every figure is within its bound.
    pub(crate) fn close(self) -> Result<bool> {
        if !self.is_json {
            let mut table = Table::new();
            table.load_preset(presets::ASCII_MARKDOWN);
            table.set_header(["figure", "ours", "bare", "ratio", "bound", "measured", ""]);
            for figure in &self.figures {
                let number = |value: f64| format!("{value:.2} {}", figure.unit);
                let bound = figure.bound;
                let of = |value: f64| match bound.bound_on {
                    "ratio" | "at_least" => format!("{value:.2}x"),
                    "least" => number(value),
                    "value" => format!("{value:.0}"),
                    _ => format!("+{}", number(value)),
                };
                table.add_row([
                    figure.name.to_owned(),
                    number(figure.value),
                    number(figure.baseline),
                    format!("{:.2}", figure.ratio),
                    of(bound.bound),
                    of(bound.measured),
                    if figure.is_within() { "ok" } else { "OVER" }.to_owned(),
                ]);
            }
            writeln!(std::io::stdout().lock(), "{table}")?;
        }
        Ok(self.figures.iter().all(Figure::is_within))
    }
}
