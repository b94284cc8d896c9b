//! Values with a unit and a range: durations, sizes, counts.
//!
//! An error text is the problem and, after a line break, the cure:
//! [`strict`](super::strict) takes them apart.

use std::fmt::{self, Display};
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserializer;
use serde::de::{Error, Visitor};

/// The values that a field accepts, and the one it has when it is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range<T> {
    /// When the field is absent.
    pub default: T,
    /// The least accepted value.
    pub min: T,
    /// The greatest accepted value.
    pub max: T,
}

/// Reads a duration such as `90s` or `1m 30s`.
pub(crate) fn duration<'de, D: Deserializer<'de>>(
    deserializer: D,
    range: &Range<Duration>,
) -> Result<Duration, D::Error> {
    let text = deserializer.deserialize_str(Text("a duration in quotes, such as `90s`"))?;
    let value = humantime::parse_duration(&text).map_err(|_| {
        D::Error::custom(format!(
            "`{}` is not a duration\nwrite a number and a unit, such as `500ms`, `90s`, `5m`",
            bounded(&text)
        ))
    })?;
    within(&text, value, range, show_duration)
}

/// Reads a size such as `128MiB`.
pub(crate) fn size<'de, D: Deserializer<'de>>(
    deserializer: D,
    range: &Range<usize>,
) -> Result<usize, D::Error> {
    let text = deserializer.deserialize_str(Text("a size in quotes, such as `128MiB`"))?;
    let value = text
        .parse::<ByteSize>()
        .ok()
        .and_then(|size| usize::try_from(size.as_u64()).ok())
        .ok_or_else(|| {
            D::Error::custom(format!(
                "`{}` is not a size\nwrite a number and a unit, such as `64KiB`, `128MiB`, `1GiB`",
                bounded(&text)
            ))
        })?;
    within(&text, value, range, show_size)
}

/// Reads a count.
pub(crate) fn count<'de, D, T>(deserializer: D, range: &Range<T>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + Ord + Copy + Display,
{
    // TOML's integers are signed: read one as it stands, so that the message
    // for a negative or a huge number names the range too.
    let number = deserializer.deserialize_i64(WholeNumber)?;
    match T::try_from(number) {
        Ok(value) => within(&number.to_string(), value, range, |value| value.to_string()),
        Err(_) => Err(outside(&number.to_string(), range, |value| {
            value.to_string()
        })),
    }
}

/// Takes a text; says what it is for when there is something else.
struct Text(&'static str);

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

struct WholeNumber;

impl Visitor<'_> for WholeNumber {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    // JSON's numbers without a sign. What is beyond is out of every range.
    fn visit_u64<E: Error>(self, number: u64) -> Result<i64, E> {
        Ok(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

/// A duration as a file writes it.
pub(crate) fn show_duration(value: Duration) -> String {
    let text = humantime::format_duration(value).to_string();
    match text.as_str() {
        "1day" => "24h".to_owned(),
        _ => text,
    }
}

/// A size as a file writes it.
pub(crate) fn show_size(bytes: usize) -> String {
    let (unit, name) = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .unwrap_or((1, "B"));
    format!("{}{name}", bytes / unit)
}

fn within<T: Ord + Copy, E: Error>(
    text: &str,
    value: T,
    range: &Range<T>,
    show: impl Fn(T) -> String,
) -> Result<T, E> {
    if (range.min..=range.max).contains(&value) {
        Ok(value)
    } else {
        Err(outside(text, range, show))
    }
}

fn outside<T: Copy, E: Error>(text: &str, range: &Range<T>, show: impl Fn(T) -> String) -> E {
    E::custom(format!(
        "`{}` is out of range\nchoose a value from {} to {}",
        bounded(text),
        show(range.min),
        show(range.max),
    ))
}

/// The start of a text of any length.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_values_as_a_file_writes_them() {
        assert_eq!(show_size(128 << 20), "128MiB");
        assert_eq!(show_size(1 << 30), "1GiB");
        assert_eq!(show_size(1_500), "1500B");
        assert_eq!(show_size(0), "0B");
        assert_eq!(show_duration(Duration::from_secs(86_400)), "24h");
        assert_eq!(show_duration(Duration::from_millis(500)), "500ms");
    }
}
