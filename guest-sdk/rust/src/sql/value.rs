//! Values of parameters.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;

use super::{Date, Interval, Time, Timestamp, Timestamptz};
use crate::bindings::cofferdam::capabilities::sql as host;

/// The value of a parameter.
///
/// The host converts it to the type that the statement wants where nothing can
/// be lost: between integers that hold it, from an integer to a float or a
/// numeric, from text to everything that is written as text (numeric, uuid,
/// json, enumerations). Elsewhere a cast in the statement helps: `$1::int`.
#[derive(Debug, Clone)]
pub struct Value(pub(super) host::Value);

/// What an array parameter may hold: `Vec` and slices of these.
pub trait Element: Sized {
    #[doc(hidden)]
    fn series(values: &[Self]) -> host::Values;
}

impl Value {
    /// NULL of no particular type.
    pub const NULL: Self = Self(host::Value::Null);

    /// An exact decimal, such as `"12.50"`, or a number that `i64` cannot hold.
    pub fn numeric(number: impl fmt::Display) -> Self {
        Self(host::Value::Numeric(number.to_string()))
    }

    /// A UUID, in any usual spelling.
    pub fn uuid(uuid: impl fmt::Display) -> Self {
        Self(host::Value::Uuid(uuid.to_string()))
    }

    /// JSON.
    pub fn json(value: &impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(host::Value::Json(text)))
    }

    /// Bytes; a `Vec<u8>` is one too.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(host::Value::Bytes(bytes.into()))
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::NULL, Into::into)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(host::Value::Text(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(host::Value::Text(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<Cow<'_, str>> for Value {
    fn from(text: Cow<'_, str>) -> Self {
        Self(host::Value::Text(text.into_owned()))
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(host::Value::Bytes(bytes))
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        Self(host::Value::Json(json.to_string()))
    }
}

impl From<Interval> for Value {
    fn from(interval: Interval) -> Self {
        Self(host::Value::Interval(interval.into()))
    }
}

macro_rules! numbers {
    ($($from:ty => $case:ident as $to:ty;)*) => {$(
        impl From<$from> for Value {
            fn from(number: $from) -> Self {
                Self(host::Value::$case(<$to>::from(number)))
            }
        }

        impl From<&$from> for Value {
            fn from(number: &$from) -> Self {
                Self::from(*number)
            }
        }
    )*};
}

numbers! {
    bool => Boolean as bool;
    i8 => Int16 as i16;
    i16 => Int16 as i16;
    i32 => Int32 as i32;
    i64 => Int64 as i64;
    u8 => Int16 as i16;
    u16 => Int32 as i32;
    u32 => Int64 as i64;
    f32 => Float32 as f32;
    f64 => Float64 as f64;
    Date => Date as i32;
    Time => Time as i64;
    Timestamp => Timestamp as i64;
    Timestamptz => Timestamptz as i64;
}

impl<T: Element> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        values.as_slice().into()
    }
}

impl<T: Element> From<&Vec<T>> for Value {
    fn from(values: &Vec<T>) -> Self {
        values.as_slice().into()
    }
}

impl<T: Element> From<&[T]> for Value {
    fn from(values: &[T]) -> Self {
        Self(host::Value::Array(host::Series {
            values: T::series(values),
            nulls: Vec::new(),
        }))
    }
}

macro_rules! elements {
    ($($from:ty => $case:ident as $to:ty;)*) => {$(
        impl Element for $from {
            fn series(values: &[Self]) -> host::Values {
                host::Values::$case(values.iter().map(|value| <$to>::from(*value)).collect())
            }
        }
    )*};
}

elements! {
    bool => Boolean as bool;
    i16 => Int16 as i16;
    i32 => Int32 as i32;
    i64 => Int64 as i64;
    u16 => Int32 as i32;
    u32 => Int64 as i64;
    f32 => Float32 as f32;
    f64 => Float64 as f64;
    Date => Date as i32;
    Time => Time as i64;
    Timestamp => Timestamp as i64;
    Timestamptz => Timestamptz as i64;
}

impl Element for &str {
    fn series(values: &[Self]) -> host::Values {
        host::Values::Text(packed(values.iter().copied()))
    }
}

impl Element for String {
    fn series(values: &[Self]) -> host::Values {
        host::Values::Text(packed(values.iter().map(String::as_str)))
    }
}

fn packed<'a>(texts: impl Iterator<Item = &'a str>) -> host::Packed {
    let mut packed = host::Packed {
        data: Vec::new(),
        ends: Vec::new(),
    };
    for text in texts {
        packed.data.extend_from_slice(text.as_bytes());
        // A component has no more memory than `u32` counts.
        packed
            .ends
            .push(u32::try_from(packed.data.len()).unwrap_or(u32::MAX));
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::super::params;
    use super::*;

    fn shown(values: &[Value]) -> Vec<String> {
        values
            .iter()
            .map(|Value(value)| format!("{value:?}"))
            .collect()
    }

    #[test]
    fn parameters_take_what_a_task_has() {
        let text = String::from("b");
        assert_eq!(
            shown(params![
                1_i64,
                "a",
                &text,
                None::<i32>,
                Some(true),
                7_u32,
                Date(3)
            ]),
            [
                "Value::Int64(1)",
                "Value::Text(\"a\")",
                "Value::Text(\"b\")",
                "Value::Null",
                "Value::Boolean(true)",
                "Value::Int64(7)",
                "Value::Date(3)",
            ]
        );
        assert_eq!(
            shown(params![Value::numeric("1.50"), vec![1_u8]]),
            ["Value::Numeric(\"1.50\")", "Value::Bytes([1])",]
        );
        assert!(params![].is_empty());
    }

    #[test]
    fn arrays_are_packed() {
        let Value(host::Value::Array(series)) = Value::from(vec!["ab", "", "c"]) else {
            unreachable!()
        };
        let host::Values::Text(packed) = series.values else {
            unreachable!()
        };
        assert_eq!(
            (packed.data.as_slice(), packed.ends.as_slice()),
            (&b"abc"[..], &[2, 2, 3][..])
        );
        assert!(series.nulls.is_empty());
        assert_eq!(shown(params![[1_i32, 2].as_slice()]).len(), 1);
    }
}
