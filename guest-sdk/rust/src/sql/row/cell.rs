//! One value of a row as a serde deserializer.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeSeed, Error as _};
use serde::de::{Deserializer, IntoDeserializer, SeqAccess, Unexpected, Visitor};

use super::super::{Date, DecodeError, Interval, Time, Timestamp, Timestamptz};
use crate::bindings::cofferdam::capabilities::sql as host;

/// One value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'r> {
    Null,
    Boolean(bool),
    Integer(i64),
    Float32(f32),
    Float64(f64),
    /// A number in digits.
    Numeric(&'r str),
    Text(&'r str),
    Bytes(&'r [u8]),
    Date(Date),
    Time(Time),
    Timestamp(Timestamp),
    Timestamptz(Timestamptz),
    Interval(Interval),
    Json(&'r str),
    Array(Elements<'r>),
}

/// The elements of an array that are still to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elements<'r> {
    series: &'r host::Series,
    next: usize,
    end: usize,
}

impl<'r> Cell<'r> {
    /// The value of a column in one row of a batch.
    pub(super) fn of(values: &'r host::ColumnValues, index: usize) -> Result<Self, DecodeError> {
        match values {
            host::ColumnValues::Scalars(series) => Self::in_series(series, index),
            host::ColumnValues::Arrays(arrays) => {
                if arrays.nulls.get(index).copied().unwrap_or(false) {
                    return Ok(Self::Null);
                }
                let (next, end) = span(&arrays.ends, index).ok_or_else(missing)?;
                Ok(Self::Array(Elements {
                    series: &arrays.elements,
                    next,
                    end,
                }))
            }
        }
    }

    fn in_series(series: &'r host::Series, index: usize) -> Result<Self, DecodeError> {
        if series.nulls.get(index).copied().unwrap_or(false) {
            return Ok(Self::Null);
        }
        fn at<T: Copy>(values: &[T], index: usize) -> Result<T, DecodeError> {
            values.get(index).copied().ok_or_else(missing)
        }
        Ok(match &series.values {
            host::Values::Boolean(values) => Self::Boolean(at(values, index)?),
            host::Values::Int16(values) => Self::Integer(at(values, index)?.into()),
            host::Values::Int32(values) => Self::Integer(at(values, index)?.into()),
            host::Values::Int64(values) => Self::Integer(at(values, index)?),
            host::Values::Float32(values) => Self::Float32(at(values, index)?),
            host::Values::Float64(values) => Self::Float64(at(values, index)?),
            host::Values::Numeric(values) => Self::Numeric(text(values, index)?),
            host::Values::Text(values) | host::Values::Uuid(values) => {
                Self::Text(text(values, index)?)
            }
            host::Values::Bytes(values) => Self::Bytes(bytes(values, index)?),
            host::Values::Date(values) => Self::Date(Date(at(values, index)?)),
            host::Values::Time(values) => Self::Time(Time(at(values, index)?)),
            host::Values::Timestamp(values) => Self::Timestamp(Timestamp(at(values, index)?)),
            host::Values::Timestamptz(values) => Self::Timestamptz(Timestamptz(at(values, index)?)),
            host::Values::Interval(values) => Self::Interval(at(values, index)?.into()),
            host::Values::Json(values) => Self::Json(text(values, index)?),
        })
    }

    /// Days or microseconds, of what is a time.
    fn count(self) -> Option<i64> {
        Some(match self {
            Self::Date(Date(days)) => days.into(),
            Self::Time(Time(count))
            | Self::Timestamp(Timestamp(count))
            | Self::Timestamptz(Timestamptz(count)) => count,
            _ => return None,
        })
    }
}

/// The host keeps the contract; this is for one that does not.
fn missing() -> DecodeError {
    DecodeError::new("the host sent fewer values than rows")
}

/// From where to where the value of this number goes.
fn span(ends: &[u32], index: usize) -> Option<(usize, usize)> {
    let end = |index: usize| usize::try_from(*ends.get(index)?).ok();
    let start = match index.checked_sub(1) {
        Some(before) => end(before)?,
        None => 0,
    };
    Some((start, end(index)?))
}

fn bytes(packed: &host::Packed, index: usize) -> Result<&[u8], DecodeError> {
    let span = span(&packed.ends, index);
    let value = span.and_then(|(start, end)| packed.data.get(start..end));
    value.ok_or_else(missing)
}

fn text(packed: &host::Packed, index: usize) -> Result<&str, DecodeError> {
    str::from_utf8(bytes(packed, index)?).map_err(|_| DecodeError::new("the text is not UTF-8"))
}

fn json<'r>(text: &'r str) -> serde_json::Deserializer<serde_json::de::StrRead<'r>> {
    serde_json::Deserializer::from_str(text)
}

macro_rules! integers {
    ($($method:ident: $number:ty => $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self {
                Self::Integer(number) => visitor.visit_i64(number),
                Self::Numeric(digits) => match digits.parse::<$number>() {
                    Ok(number) => visitor.$visit(number),
                    Err(_) => Err(DecodeError::invalid_value(Unexpected::Other("numeric"), &visitor)),
                },
                Self::Json(text) => json(text).$method(visitor).map_err(DecodeError::custom),
                _ => match self.count() {
                    Some(count) => visitor.visit_i64(count),
                    None => self.deserialize_any(visitor),
                },
            }
        }
    )*};
}

macro_rules! json_or_any {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self {
                Self::Json(text) => json(text).$method(visitor).map_err(DecodeError::custom),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Cell<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Boolean(value) => visitor.visit_bool(value),
            Self::Integer(number) => visitor.visit_i64(number),
            Self::Float32(number) => visitor.visit_f32(number),
            Self::Float64(number) => visitor.visit_f64(number),
            Self::Numeric(text) | Self::Text(text) => visitor.visit_borrowed_str(text),
            Self::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Self::Date(date) => visitor.visit_string(date.to_string()),
            Self::Time(time) => visitor.visit_string(time.to_string()),
            Self::Timestamp(timestamp) => visitor.visit_string(timestamp.to_string()),
            Self::Timestamptz(timestamp) => visitor.visit_string(timestamp.to_string()),
            Self::Interval(interval) => visitor.visit_string(interval.to_string()),
            Self::Json(text) => json(text)
                .deserialize_any(visitor)
                .map_err(DecodeError::custom),
            Self::Array(elements) => visitor.visit_seq(elements),
        }
    }

    integers! {
        deserialize_i8: i64 => visit_i64;
        deserialize_i16: i64 => visit_i64;
        deserialize_i32: i64 => visit_i64;
        deserialize_i64: i64 => visit_i64;
        deserialize_i128: i128 => visit_i128;
        deserialize_u8: u64 => visit_u64;
        deserialize_u16: u64 => visit_u64;
        deserialize_u32: u64 => visit_u64;
        deserialize_u64: u64 => visit_u64;
        deserialize_u128: u128 => visit_u128;
        deserialize_f32: f64 => visit_f64;
        deserialize_f64: f64 => visit_f64;
    }

    json_or_any! {
        deserialize_bool deserialize_char deserialize_unit deserialize_map
        deserialize_ignored_any deserialize_identifier
    }

    /// JSON as it is written.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self {
            Self::Json(text) => visitor.visit_borrowed_str(text),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self {
            Self::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        // Our own types take the number; another's newtype may hold a text.
        match self.count() {
            Some(count) if super::super::time::NAMES.contains(&name) => {
                visitor.visit_newtype_struct(count.into_deserializer())
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self {
            Self::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            Self::Json(text) => json(text)
                .deserialize_seq(visitor)
                .map_err(DecodeError::custom),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self {
            Self::Interval(Interval {
                months,
                days,
                microseconds,
            }) => visitor.visit_map(MapDeserializer::new(
                [
                    ("months", i64::from(months)),
                    ("days", i64::from(days)),
                    ("microseconds", microseconds),
                ]
                .into_iter(),
            )),
            Self::Json(text) => json(text)
                .deserialize_struct(name, fields, visitor)
                .map_err(DecodeError::custom),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self {
            Self::Text(text) => visitor.visit_enum(text.into_deserializer()),
            Self::Json(text) => json(text)
                .deserialize_enum(name, variants, visitor)
                .map_err(DecodeError::custom),
            _ => self.deserialize_any(visitor),
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'de> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        if self.next >= self.end {
            return Ok(None);
        }
        let cell = Cell::in_series(self.series, self.next)?;
        self.next += 1;
        seed.deserialize(cell).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.end.saturating_sub(self.next))
    }
}
