//! Keeps secrets out of what rows hold.

use crate::capability::bindings::cofferdam::capabilities::sql::{
    ColumnValues, Packed, Value, Values,
};
use crate::scrub::SecretSet;

/// Stands between two values while they are looked at together: with it, no
/// spelling goes from one into the next.
const BETWEEN: [u8; 2] = [0, 0];

/// Scrubs every value that has bytes of its own; how many redactions there were.
pub(super) fn columns(columns: &mut [ColumnValues], secrets: &SecretSet) -> u64 {
    if secrets.is_empty() {
        return 0;
    }
    let mut together = Vec::new();
    columns
        .iter_mut()
        .filter_map(|column| match column {
            ColumnValues::Scalars(series) => packed(&mut series.values),
            ColumnValues::Arrays(arrays) => packed(&mut arrays.elements.values),
        })
        .map(|values| scrub(values, &mut together, secrets))
        .sum()
}

fn packed(values: &mut Values) -> Option<&mut Packed> {
    match values {
        Values::Numeric(packed)
        | Values::Text(packed)
        | Values::Bytes(packed)
        | Values::Uuid(packed)
        | Values::Json(packed) => Some(packed),
        _ => None,
    }
}

/// All values are looked at in one go, which is enough for nearly all; each
/// alone only when there is something in one of them.
fn scrub(values: &mut Packed, together: &mut Vec<u8>, secrets: &SecretSet) -> u64 {
    together.clear();
    together.reserve(values.data.len() + values.ends.len() * BETWEEN.len());
    for value in each(values) {
        together.extend_from_slice(value);
        together.extend_from_slice(&BETWEEN);
    }
    if !secrets.contains_secret(together) {
        return 0;
    }
    let mut clean = Packed {
        data: Vec::with_capacity(values.data.len()),
        ends: Vec::with_capacity(values.ends.len()),
    };
    let mut redactions = 0;
    for value in each(values) {
        let mut scrubber = secrets.scrubber();
        scrubber.push(value, &mut clean.data);
        redactions += scrubber.finish(&mut clean.data);
        clean
            .ends
            .push(u32::try_from(clean.data.len()).unwrap_or(u32::MAX));
    }
    *values = clean;
    redactions
}

fn each(values: &Packed) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    values.ends.iter().map(move |end| {
        let end = usize::try_from(*end).unwrap_or(usize::MAX);
        let value = values.data.get(start..end).unwrap_or_default();
        start = end;
        value
    })
}

/// The bytes of parameters, about.
pub(super) fn size(parameters: &[Value]) -> u64 {
    parameters
        .iter()
        .map(|value| match value {
            Value::Numeric(text) | Value::Text(text) | Value::Uuid(text) | Value::Json(text) => {
                text.len()
            }
            Value::Bytes(bytes) => bytes.len(),
            Value::Array(series) => values_size(&series.values) + series.nulls.len(),
            _ => 8,
        })
        .map(|length| length as u64)
        .sum()
}

fn values_size(values: &Values) -> usize {
    match values {
        Values::Boolean(list) => list.len(),
        Values::Int16(list) => list.len() * 2,
        Values::Int32(list) | Values::Date(list) => list.len() * 4,
        Values::Float32(list) => list.len() * 4,
        Values::Int64(list)
        | Values::Time(list)
        | Values::Timestamp(list)
        | Values::Timestamptz(list) => list.len() * 8,
        Values::Float64(list) => list.len() * 8,
        Values::Interval(list) => list.len() * 16,
        Values::Numeric(packed)
        | Values::Text(packed)
        | Values::Bytes(packed)
        | Values::Uuid(packed)
        | Values::Json(packed) => packed.data.len() + packed.ends.len() * 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::bindings::cofferdam::capabilities::sql::Series;
    use crate::secret::Secret;

    fn texts(values: &[&str]) -> Vec<ColumnValues> {
        let mut packed = Packed {
            data: Vec::new(),
            ends: Vec::new(),
        };
        for value in values {
            packed.data.extend_from_slice(value.as_bytes());
            packed.ends.push(packed.data.len().try_into().unwrap());
        }
        vec![ColumnValues::Scalars(Series {
            values: Values::Text(packed),
            nulls: Vec::new(),
        })]
    }

    fn scrubbed(values: &[&str]) -> (Vec<String>, u64) {
        let secrets = SecretSet::default();
        secrets.add(&Secret::new("canary-0123456789")).unwrap();
        let mut made = texts(values);
        let redactions = columns(&mut made, &secrets);
        let Some(ColumnValues::Scalars(Series {
            values: Values::Text(packed),
            ..
        })) = made.first()
        else {
            panic!("one column of texts");
        };
        let texts = each(packed).map(|text| String::from_utf8_lossy(text).into_owned());
        (texts.collect(), redactions)
    }

    #[test]
    fn a_secret_in_one_value_leaves_the_others_whole() {
        let (texts, redactions) =
            scrubbed(&["before", "", "x canary-0123456789 y", "after \\", "6e"]);
        assert_eq!(texts, ["before", "", "x [redacted] y", "after \\", "6e"]);
        assert_eq!(redactions, 1);
    }

    #[test]
    fn neighbours_do_not_hide_nor_make_a_secret() {
        // Together they spell it, alone neither does.
        let (texts, redactions) = scrubbed(&["canary-01", "23456789"]);
        assert_eq!((texts.len(), redactions), (2, 0));
        for before in ["\\", "%", "%6", "&", "&#", "&#x6", "\\u00", "Y2F"] {
            for secret in [
                "canary-0123456789",
                "%63anary-0123456789",
                "\\u0063anary-0123456789",
                "&#99;anary-0123456789",
                "Y2FuYXJ5LTAxMjM0NTY3ODk=",
            ] {
                let (texts, redactions) = scrubbed(&[before, secret]);
                assert_eq!(redactions, 1, "{before} {secret}");
                assert_eq!(texts[0], before);
            }
        }
    }
}
