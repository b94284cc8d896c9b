//! From text.

use std::str::FromStr;

use super::{DAY, Date, SECOND, Time, TimeError, Timestamp, Timestamptz};

impl FromStr for Date {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        match text {
            "-infinity" => Ok(Self(i32::MIN)),
            "infinity" => Ok(Self(i32::MAX)),
            _ => date(text).ok_or(TimeError("a date is written as 2026-10-05")),
        }
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        time(text).ok_or(TimeError("a time is written as 14:30:00"))
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = TimeError("a timestamp is written as 2026-10-05T14:30:00");
        match text {
            "-infinity" => Ok(Self(i64::MIN)),
            "infinity" => Ok(Self(i64::MAX)),
            _ => timestamp(text).map(Self).ok_or(error),
        }
    }
}

impl FromStr for Timestamptz {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let error = TimeError("a moment is written as 2026-10-05T14:30:00Z or with +02:00");
        match text {
            "-infinity" => Ok(Self(i64::MIN)),
            "infinity" => Ok(Self(i64::MAX)),
            _ => moment(text).map(Self).ok_or(error),
        }
    }
}

fn date(text: &str) -> Option<Date> {
    let (head, day) = text.rsplit_once('-')?;
    let (year, month) = head.rsplit_once('-')?;
    let two = |text: &str| (text.len() == 2).then(|| digits(text)).flatten();
    let year_digits = year.strip_prefix('-').unwrap_or(year);
    if year_digits.len() < 4 || !year_digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (month, day) = (
        u8::try_from(two(month)?).ok()?,
        u8::try_from(two(day)?).ok()?,
    );
    Date::new(year.parse().ok()?, month, day)
}

fn time(text: &str) -> Option<Time> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':');
    let mut next = |most: i64| {
        let part = parts.next()?;
        let number = (part.len() == 2).then(|| digits(part)).flatten()?;
        (number <= most).then_some(number)
    };
    let (hour, minute, second) = (next(24)?, next(59)?, next(59)?);
    if parts.next().is_some() || fraction.is_empty() || fraction.len() > 6 {
        return None;
    }
    let micros = digits(&format!("{fraction:0<6}"))?;
    let count = ((hour * 60 + minute) * 60 + second) * SECOND + micros;
    (count <= DAY).then_some(Time(count))
}

fn timestamp(text: &str) -> Option<i64> {
    let (day, clock) = text.split_once(['T', ' '])?;
    let Date(days) = date(day)?;
    let Time(micros) = time(clock)?;
    i64::from(days).checked_mul(DAY)?.checked_add(micros)
}

fn moment(text: &str) -> Option<i64> {
    if let Some(utc) = text.strip_suffix(['Z', 'z']) {
        return timestamp(utc);
    }
    // The zone's sign, not one of the date's hyphens.
    let at = text.rfind(['+', '-']).filter(|at| *at > 10)?;
    let (local, zone) = text.split_at_checked(at)?;
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let zone = zone.get(1..)?;
    let (hours, minutes) = zone.split_once(':').unwrap_or((zone, "00"));
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let offset = (digits(hours)? * 60 + digits(minutes)?) * 60 * SECOND;
    timestamp(local)?.checked_sub(sign * offset)
}

fn digits(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
