//! How long runs wait under which load, as an SVG file.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;

/// What was measured at one rate.
pub(super) struct Point {
    /// Runs in a second.
    pub(super) rate: f64,
    /// In milliseconds.
    pub(super) p50: f64,
    /// In milliseconds.
    pub(super) p99: f64,
}

pub(super) fn draw(file: &Path, points: &[Point]) -> Result<()> {
    let most_rate = points.iter().map(|point| point.rate).fold(0.0, f64::max);
    let most_wait = points.iter().map(|point| point.p99).fold(0.0, f64::max);
    let area = SVGBackend::new(file, (720, 400)).into_drawing_area();
    let drawn = || -> Result<(), DrawingAreaErrorKind<_>> {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(
                "hello over the socket: waiting time by load",
                ("sans-serif", 18),
            )
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(50)
            .build_cartesian_2d(0.0..most_rate * 1.05, 0.0..most_wait * 1.1)?;
        chart
            .configure_mesh()
            .x_desc("runs in a second")
            .y_desc("milliseconds")
            .draw()?;
        for (name, color, value) in [
            ("p50", BLUE, (|point| point.p50) as fn(&Point) -> f64),
            ("p99", RED, |point| point.p99),
        ] {
            let line = points.iter().map(|point| (point.rate, value(point)));
            chart
                .draw_series(LineSeries::new(line.clone(), color.stroke_width(2)))?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
            chart.draw_series(line.map(|at| Circle::new(at, 3, color.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .border_style(BLACK)
            .draw()?;
        area.present()
    };
    drawn()
        .map_err(|error| anyhow!("{error}"))
        .with_context(|| format!("cannot draw {}", file.display()))
}
