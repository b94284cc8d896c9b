//! Parameters, from the contract's values to what the statement wants.
//!
//! Numbers, dates and bytes go in the binary format. What is written as text
//! (numeric, uuid, json, and text for a type that the host does not know) goes
//! as text, and the server reads it as it reads a literal of that type.

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};

use super::decode::{EPOCH_DAYS, EPOCH_MICROS};
use super::error::Fault;
use super::types::{Wire, based, wire_of};
use crate::capability::bindings::cofferdam::capabilities::sql::{
    Interval, Packed, Series, Value, Values,
};

/// A parameter as it is sent.
pub(super) struct Encoded {
    format: Format,
    /// `None` is null.
    bytes: Option<Vec<u8>>,
}

/// A value does not fit.
struct Unfit;

/// Encodes every parameter of a statement.
pub(super) fn encode(values: &[Value], wanted: &[Type]) -> Result<Vec<Encoded>, Fault> {
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    if values.len() != wanted.len() {
        // The first that is missing, or that is too many.
        return Err(Fault::Parameter(number(
            values.len().min(wanted.len()).saturating_add(1),
        )));
    }
    values
        .iter()
        .zip(wanted)
        .zip(1..)
        .map(|((value, wanted), at)| {
            encoded(value, wanted).map_err(|Unfit| Fault::Parameter(number(at)))
        })
        .collect()
}

fn encoded(value: &Value, wanted: &Type) -> Result<Encoded, Unfit> {
    let wanted = based(wanted);
    match (value, wanted.kind()) {
        (Value::Null, _) => Ok(Encoded {
            format: Format::Binary,
            bytes: None,
        }),
        (Value::Array(series), Kind::Array(element)) => array(series, element),
        (Value::Array(_), _) => Err(Unfit),
        _ => scalar(&Scalar::of(value).ok_or(Unfit)?, wanted),
    }
}

/// A value that is no array and not null.
#[derive(Clone, Copy)]
enum Scalar<'a> {
    Boolean(bool),
    Int(i64),
    Float32(f32),
    Float64(f64),
    Numeric(&'a str),
    Text(&'a str),
    Bytes(&'a [u8]),
    Uuid(&'a str),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    Timestamptz(i64),
    Interval(Interval),
    Json(&'a str),
}

impl<'a> Scalar<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Null | Value::Array(_) => return None,
            Value::Boolean(value) => Self::Boolean(*value),
            Value::Int16(value) => Self::Int((*value).into()),
            Value::Int32(value) => Self::Int((*value).into()),
            Value::Int64(value) => Self::Int(*value),
            Value::Float32(value) => Self::Float32(*value),
            Value::Float64(value) => Self::Float64(*value),
            Value::Numeric(text) => Self::Numeric(text),
            Value::Text(text) => Self::Text(text),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Uuid(text) => Self::Uuid(text),
            Value::Date(days) => Self::Date(*days),
            Value::Time(micros) => Self::Time(*micros),
            Value::Timestamp(micros) => Self::Timestamp(*micros),
            Value::Timestamptz(micros) => Self::Timestamptz(*micros),
            Value::Interval(interval) => Self::Interval(*interval),
            Value::Json(text) => Self::Json(text),
        })
    }

    /// One value of a series.
    fn at(values: &'a Values, at: usize) -> Option<Self> {
        Some(match values {
            Values::Boolean(list) => Self::Boolean(*list.get(at)?),
            Values::Int16(list) => Self::Int((*list.get(at)?).into()),
            Values::Int32(list) => Self::Int((*list.get(at)?).into()),
            Values::Int64(list) => Self::Int(*list.get(at)?),
            Values::Float32(list) => Self::Float32(*list.get(at)?),
            Values::Float64(list) => Self::Float64(*list.get(at)?),
            Values::Numeric(packed) => Self::Numeric(text_at(packed, at)?),
            Values::Text(packed) => Self::Text(text_at(packed, at)?),
            Values::Bytes(packed) => Self::Bytes(packed_at(packed, at)?),
            Values::Uuid(packed) => Self::Uuid(text_at(packed, at)?),
            Values::Date(list) => Self::Date(*list.get(at)?),
            Values::Time(list) => Self::Time(*list.get(at)?),
            Values::Timestamp(list) => Self::Timestamp(*list.get(at)?),
            Values::Timestamptz(list) => Self::Timestamptz(*list.get(at)?),
            Values::Interval(list) => Self::Interval(*list.get(at)?),
            Values::Json(packed) => Self::Json(text_at(packed, at)?),
        })
    }
}

fn length(values: &Values) -> usize {
    match values {
        Values::Boolean(list) => list.len(),
        Values::Int16(list) => list.len(),
        Values::Int32(list) | Values::Date(list) => list.len(),
        Values::Int64(list)
        | Values::Time(list)
        | Values::Timestamp(list)
        | Values::Timestamptz(list) => list.len(),
        Values::Float32(list) => list.len(),
        Values::Float64(list) => list.len(),
        Values::Interval(list) => list.len(),
        Values::Numeric(packed)
        | Values::Text(packed)
        | Values::Bytes(packed)
        | Values::Uuid(packed)
        | Values::Json(packed) => packed.ends.len(),
    }
}

fn packed_at(packed: &Packed, at: usize) -> Option<&[u8]> {
    let end = usize::try_from(*packed.ends.get(at)?).ok()?;
    let start = match at.checked_sub(1) {
        Some(before) => usize::try_from(*packed.ends.get(before)?).ok()?,
        None => 0,
    };
    packed.data.get(start..end)
}

fn text_at(packed: &Packed, at: usize) -> Option<&str> {
    std::str::from_utf8(packed_at(packed, at)?).ok()
}

fn scalar(value: &Scalar<'_>, wanted: &Type) -> Result<Encoded, Unfit> {
    let binary = |bytes: &[u8]| {
        Ok(Encoded {
            format: Format::Binary,
            bytes: Some(bytes.to_vec()),
        })
    };
    let text = |text: &str| {
        // The server could not tell where it ends.
        if text.contains('\0') {
            return Err(Unfit);
        }
        Ok(Encoded {
            format: Format::Text,
            bytes: Some(text.as_bytes().to_vec()),
        })
    };
    match (*value, wire_of(wanted)) {
        (Scalar::Boolean(value), Some(Wire::Bool)) => binary(&[value.into()]),
        (Scalar::Int(value), Some(wire)) => match wire {
            Wire::Int2 => binary(&i16::try_from(value).map_err(|_| Unfit)?.to_be_bytes()),
            Wire::Int4 => binary(&i32::try_from(value).map_err(|_| Unfit)?.to_be_bytes()),
            Wire::Int8 => binary(&value.to_be_bytes()),
            Wire::Oid => binary(&u32::try_from(value).map_err(|_| Unfit)?.to_be_bytes()),
            Wire::Float4 => binary(&exact_f32(value)?.to_be_bytes()),
            Wire::Float8 => binary(&exact_f64(value)?.to_be_bytes()),
            Wire::Numeric => text(&value.to_string()),
            _ => Err(Unfit),
        },
        (Scalar::Float32(value), Some(Wire::Float4)) => binary(&value.to_be_bytes()),
        (Scalar::Float32(value), Some(Wire::Float8)) => binary(&f64::from(value).to_be_bytes()),
        (Scalar::Float64(value), Some(Wire::Float8)) => binary(&value.to_be_bytes()),
        (Scalar::Numeric(value), Some(Wire::Numeric))
        | (Scalar::Uuid(value), Some(Wire::Uuid))
        | (Scalar::Json(value), Some(Wire::Json | Wire::Jsonb)) => text(value),
        (Scalar::Bytes(value), Some(Wire::Bytea)) => binary(value),
        (Scalar::Date(days), Some(Wire::Date)) => binary(&date(days)?.to_be_bytes()),
        (Scalar::Time(micros), Some(Wire::Time)) => match micros {
            0..=86_400_000_000 => binary(&micros.to_be_bytes()),
            _ => Err(Unfit),
        },
        (Scalar::Timestamp(micros), Some(Wire::Timestamp))
        | (Scalar::Timestamptz(micros), Some(Wire::Timestamptz)) => {
            binary(&timestamp(micros)?.to_be_bytes())
        }
        (Scalar::Interval(value), Some(Wire::Interval)) => {
            let mut bytes = Vec::with_capacity(16);
            bytes.put_i64(value.microseconds);
            bytes.put_i32(value.days);
            bytes.put_i32(value.months);
            binary(&bytes)
        }
        (Scalar::Text(value), wire) if wire != Some(Wire::Bytea) => text(value),
        _ => Err(Unfit),
    }
}

/// An array in the server's notation for literals where its elements are
/// texts, else in the binary format.
fn array(series: &Series, element: &Type) -> Result<Encoded, Unfit> {
    let number = length(&series.values);
    if !matches!(series.nulls.len(), 0) && series.nulls.len() != number {
        return Err(Unfit);
    }
    let is_null = |at: usize| series.nulls.get(at).copied().unwrap_or(false);
    let mut elements = Vec::with_capacity(number);
    let mut format = None;
    for at in 0..number {
        if is_null(at) {
            elements.push(None);
            continue;
        }
        let value = Scalar::at(&series.values, at).ok_or(Unfit)?;
        let Encoded { format: of, bytes } = scalar(&value, element)?;
        // All values of a series are encoded alike.
        format = Some(of);
        elements.push(bytes);
    }
    match format {
        Some(Format::Text) => Ok(Encoded {
            format: Format::Text,
            bytes: Some(literal(&elements)),
        }),
        _ => Ok(Encoded {
            format: Format::Binary,
            bytes: Some(binary_array(&elements, element)?),
        }),
    }
}

/// `{"a","b",NULL}`, with everything quoted.
fn literal(elements: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut text = vec![b'{'];
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        match element {
            None => text.extend_from_slice(b"NULL"),
            Some(bytes) => {
                text.push(b'"');
                for byte in bytes {
                    if matches!(byte, b'"' | b'\\') {
                        text.push(b'\\');
                    }
                    text.push(*byte);
                }
                text.push(b'"');
            }
        }
    }
    text.push(b'}');
    text
}

fn binary_array(elements: &[Option<Vec<u8>>], element: &Type) -> Result<Vec<u8>, Unfit> {
    let mut bytes = Vec::new();
    let size = |length: usize| i32::try_from(length).map_err(|_| Unfit);
    bytes.put_i32(i32::from(!elements.is_empty()));
    bytes.put_i32(elements.iter().any(Option::is_none).into());
    bytes.put_u32(element.oid());
    if !elements.is_empty() {
        bytes.put_i32(size(elements.len())?);
        bytes.put_i32(1);
    }
    for element in elements {
        match element {
            None => bytes.put_i32(-1),
            Some(value) => {
                bytes.put_i32(size(value.len())?);
                bytes.put_slice(value);
            }
        }
    }
    Ok(bytes)
}

/// As a float, if that is the same number.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "whether anything was lost is what is asked"
)]
fn exact_f64(value: i64) -> Result<f64, Unfit> {
    let float = value as f64;
    let same = value != i64::MAX && float as i64 == value;
    if same { Ok(float) } else { Err(Unfit) }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "whether anything was lost is what is asked"
)]
fn exact_f32(value: i64) -> Result<f32, Unfit> {
    let float = value as f32;
    let same = value != i64::MAX && float as i64 == value;
    if same { Ok(float) } else { Err(Unfit) }
}

fn date(days: i32) -> Result<i32, Unfit> {
    match days {
        i32::MIN | i32::MAX => Ok(days),
        days => days.checked_sub(EPOCH_DAYS).ok_or(Unfit),
    }
}

fn timestamp(micros: i64) -> Result<i64, Unfit> {
    match micros {
        i64::MIN | i64::MAX => Ok(micros),
        micros => micros.checked_sub(EPOCH_MICROS).ok_or(Unfit),
    }
}

impl ToSql for Encoded {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match &self.bytes {
            None => Ok(IsNull::Yes),
            Some(bytes) => {
                out.put_slice(bytes);
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        self.format
    }

    to_sql_checked!();
}

impl std::fmt::Debug for Encoded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}
