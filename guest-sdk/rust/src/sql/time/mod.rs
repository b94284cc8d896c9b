//! Dates and times as the database keeps them: counts, with ISO 8601 as their text.

mod calendar;
mod read;
mod serial;
mod write;

use std::fmt;

use crate::bindings::cofferdam::capabilities::sql as host;

use calendar::{civil, days, length};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A date: days since 1970-01-01. `2026-10-05`, or `infinity` and `-infinity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

/// A time of day: microseconds since midnight. `14:30:00.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// A date and time without a zone: microseconds since 1970-01-01 00:00.
/// `2026-10-05T14:30:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A moment: microseconds since 1970-01-01 00:00 UTC. `2026-10-05T14:30:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamptz(pub i64);

/// A span of time whose parts do not convert into each other. `P1M2DT3.5S`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Deserialize, serde::Serialize,
)]
pub struct Interval {
    /// Months.
    pub months: i32,
    /// Days.
    pub days: i32,
    /// Microseconds.
    pub microseconds: i64,
}

/// A text that is no such date or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeError(&'static str);

/// The names under which these ask for their counts.
pub(super) const NAMES: [&str; 4] = ["Date", "Time", "Timestamp", "Timestamptz"];

impl Date {
    /// Of a year, month and day.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        let fits = (1..=12).contains(&month) && (1..=length(year, month)).contains(&day);
        let days = days(year.into(), month.into(), day.into());
        fits.then_some(())?;
        i32::try_from(days).ok().map(Self)
    }

    /// Year, month and day.
    pub fn civil(self) -> (i32, u8, u8) {
        let (year, month, day) = civil(self.0.into());
        let small = |number: i64| u8::try_from(number).unwrap_or_default();
        (
            i32::try_from(year).unwrap_or_default(),
            small(month),
            small(day),
        )
    }
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for TimeError {}

impl From<Interval> for host::Interval {
    fn from(interval: Interval) -> Self {
        Self {
            months: interval.months,
            days: interval.days,
            microseconds: interval.microseconds,
        }
    }
}

impl From<host::Interval> for Interval {
    fn from(interval: host::Interval) -> Self {
        Self {
            months: interval.months,
            days: interval.days,
            microseconds: interval.microseconds,
        }
    }
}

#[cfg(test)]
mod tests;
