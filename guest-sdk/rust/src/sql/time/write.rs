//! To text.

use std::fmt;

use super::calendar::civil;
use super::{DAY, Date, Interval, SECOND, Time, Timestamp, Timestamptz};

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            i32::MIN => f.write_str("-infinity"),
            i32::MAX => f.write_str("infinity"),
            days => write_date(f, days.into()),
        }
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.div_euclid(SECOND), self.0.rem_euclid(SECOND));
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{hour:02}:{minute:02}:{second:02}")?;
        write_fraction(f, micros)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            i64::MIN => f.write_str("-infinity"),
            i64::MAX => f.write_str("infinity"),
            micros => {
                write_date(f, micros.div_euclid(DAY))?;
                write!(f, "T{}", Time(micros.rem_euclid(DAY)))
            }
        }
    }
}

impl fmt::Display for Timestamptz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Timestamp(self.0).fmt(f)?;
        match self.0 {
            i64::MIN | i64::MAX => Ok(()),
            _ => f.write_str("Z"),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return f.write_str("PT0S");
        }
        f.write_str("P")?;
        for (count, unit) in [(self.months, "M"), (self.days, "D")] {
            if count != 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        if self.microseconds != 0 {
            let sign = if self.microseconds < 0 { "-" } else { "" };
            let micros = self.microseconds.unsigned_abs();
            write!(f, "T{sign}{}", micros / 1_000_000)?;
            write_fraction(f, i64::try_from(micros % 1_000_000).unwrap_or_default())?;
            f.write_str("S")?;
        }
        Ok(())
    }
}

fn write_date(f: &mut fmt::Formatter<'_>, days: i64) -> fmt::Result {
    let (year, month, day) = civil(days);
    let sign = if year < 0 { "-" } else { "" };
    write!(f, "{sign}{:04}-{month:02}-{day:02}", year.abs())
}

fn write_fraction(f: &mut fmt::Formatter<'_>, micros: i64) -> fmt::Result {
    if micros == 0 {
        return Ok(());
    }
    let digits = format!("{micros:06}");
    write!(f, ".{}", digits.trim_end_matches('0'))
}
