//! Values from the server, in the binary format, to the contract's columns.

use std::fmt::Write as _;

use super::types::{ColumnKind, Wire};
use crate::capability::bindings::cofferdam::capabilities::sql::{
    Arrays, ColumnValues, Interval, Packed, Series, Values,
};

/// Days from 1970-01-01 to PostgreSQL's first day, 2000-01-01.
pub(super) const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
pub(super) const EPOCH_MICROS: i64 = 10_957 * 86_400_000_000;

/// Why a value is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undecoded {
    /// Not in the form of its type.
    Malformed,
    /// A value for which the contract has no room: an array of more than one
    /// dimension, a timestamp at the very end of PostgreSQL's range.
    Foreign,
}

/// The values of one column, as they come.
pub(super) struct Column {
    kind: ColumnKind,
    elements: Building,
    /// Where each array ends.
    ends: Vec<u32>,
    nulls: Nulls,
}

/// A series under way.
struct Building {
    values: Values,
    nulls: Nulls,
    number: usize,
}

/// Which values are null; nothing is kept while none is.
#[derive(Default)]
struct Nulls(Vec<bool>);

impl Column {
    pub(super) fn new(kind: ColumnKind) -> Self {
        Self {
            kind,
            elements: Building {
                values: none_of(kind.wire),
                nulls: Nulls::default(),
                number: 0,
            },
            ends: Vec::new(),
            nulls: Nulls::default(),
        }
    }

    /// Adds the value of the next row.
    pub(super) fn push(&mut self, value: Option<&[u8]>) -> Result<(), Undecoded> {
        if !self.kind.is_array {
            return self.elements.push(self.kind.wire, value);
        }
        match value {
            None => self.nulls.push(self.ends.len(), true),
            Some(array) => {
                self.nulls.push(self.ends.len(), false);
                self.array(array)?;
            }
        }
        let end = u32::try_from(self.elements.number).map_err(|_| Undecoded::Foreign)?;
        self.ends.push(end);
        Ok(())
    }

    /// Dimensions, whether there are nulls, the elements' type; for each
    /// dimension its length and first index; then the elements.
    fn array(&mut self, mut bytes: &[u8]) -> Result<(), Undecoded> {
        let dimensions = int(&mut bytes)?;
        let _nulls = int(&mut bytes)?;
        let _type = int(&mut bytes)?;
        match dimensions {
            0 => return Ok(()),
            1 => {}
            2.. => return Err(Undecoded::Foreign),
            _ => return Err(Undecoded::Malformed),
        }
        let length = int(&mut bytes)?;
        let _first = int(&mut bytes)?;
        for _ in 0..length {
            let element = match int(&mut bytes)? {
                -1 => None,
                size => {
                    let size = usize::try_from(size).map_err(|_| Undecoded::Malformed)?;
                    let (element, rest) =
                        bytes.split_at_checked(size).ok_or(Undecoded::Malformed)?;
                    bytes = rest;
                    Some(element)
                }
            };
            self.elements.push(self.kind.wire, element)?;
        }
        if bytes.is_empty() {
            Ok(())
        } else {
            Err(Undecoded::Malformed)
        }
    }

    /// The whole column.
    pub(super) fn finish(self) -> ColumnValues {
        let elements = Series {
            values: self.elements.values,
            nulls: self.elements.nulls.0,
        };
        if self.kind.is_array {
            ColumnValues::Arrays(Arrays {
                elements,
                ends: self.ends,
                nulls: self.nulls.0,
            })
        } else {
            ColumnValues::Scalars(elements)
        }
    }
}

impl Nulls {
    /// Adds one after `before` others.
    fn push(&mut self, before: usize, null: bool) {
        if null && self.0.is_empty() {
            self.0.resize(before, false);
        }
        if null || !self.0.is_empty() {
            self.0.push(null);
        }
    }
}

impl Building {
    fn push(&mut self, wire: Wire, value: Option<&[u8]>) -> Result<(), Undecoded> {
        self.nulls.push(self.number, value.is_none());
        self.number += 1;
        match value {
            Some(bytes) => add(&mut self.values, wire, bytes),
            None => {
                add_nothing(&mut self.values);
                Ok(())
            }
        }
    }
}

fn none_of(wire: Wire) -> Values {
    let packed = || Packed {
        data: Vec::new(),
        ends: Vec::new(),
    };
    match wire {
        Wire::Bool => Values::Boolean(Vec::new()),
        Wire::Int2 => Values::Int16(Vec::new()),
        Wire::Int4 => Values::Int32(Vec::new()),
        Wire::Int8 | Wire::Oid => Values::Int64(Vec::new()),
        Wire::Float4 => Values::Float32(Vec::new()),
        Wire::Float8 => Values::Float64(Vec::new()),
        Wire::Numeric => Values::Numeric(packed()),
        Wire::Text | Wire::Char => Values::Text(packed()),
        Wire::Bytea => Values::Bytes(packed()),
        Wire::Uuid => Values::Uuid(packed()),
        Wire::Date => Values::Date(Vec::new()),
        Wire::Time => Values::Time(Vec::new()),
        Wire::Timestamp => Values::Timestamp(Vec::new()),
        Wire::Timestamptz => Values::Timestamptz(Vec::new()),
        Wire::Interval => Values::Interval(Vec::new()),
        Wire::Json | Wire::Jsonb => Values::Json(packed()),
    }
}

fn add_nothing(values: &mut Values) {
    match values {
        Values::Boolean(list) => list.push(false),
        Values::Int16(list) => list.push(0),
        Values::Int32(list) | Values::Date(list) => list.push(0),
        Values::Int64(list)
        | Values::Time(list)
        | Values::Timestamp(list)
        | Values::Timestamptz(list) => list.push(0),
        Values::Float32(list) => list.push(0.0),
        Values::Float64(list) => list.push(0.0),
        Values::Interval(list) => list.push(Interval {
            months: 0,
            days: 0,
            microseconds: 0,
        }),
        Values::Numeric(packed)
        | Values::Text(packed)
        | Values::Bytes(packed)
        | Values::Uuid(packed)
        | Values::Json(packed) => {
            let end = packed.ends.last().copied().unwrap_or(0);
            packed.ends.push(end);
        }
    }
}

fn add(values: &mut Values, wire: Wire, bytes: &[u8]) -> Result<(), Undecoded> {
    match (values, wire) {
        (Values::Boolean(list), _) => list.push(u8::from_be_bytes(exact(bytes)?) != 0),
        (Values::Int16(list), _) => list.push(i16::from_be_bytes(exact(bytes)?)),
        (Values::Int32(list), _) => list.push(i32::from_be_bytes(exact(bytes)?)),
        (Values::Int64(list), Wire::Oid) => list.push(u32::from_be_bytes(exact(bytes)?).into()),
        (Values::Int64(list) | Values::Time(list), _) => {
            list.push(i64::from_be_bytes(exact(bytes)?));
        }
        (Values::Float32(list), _) => list.push(f32::from_be_bytes(exact(bytes)?)),
        (Values::Float64(list), _) => list.push(f64::from_be_bytes(exact(bytes)?)),
        (Values::Date(list), _) => list.push(date(i32::from_be_bytes(exact(bytes)?))?),
        (Values::Timestamp(list) | Values::Timestamptz(list), _) => {
            list.push(timestamp(i64::from_be_bytes(exact(bytes)?))?);
        }
        (Values::Interval(list), _) => list.push(interval(bytes)?),
        (Values::Bytes(packed), _) => pack(packed, bytes)?,
        (Values::Numeric(packed), _) => numeric(packed, bytes)?,
        (Values::Uuid(packed), _) => {
            let id = uuid::Uuid::from_bytes(exact(bytes)?);
            let mut text = uuid::Uuid::encode_buffer();
            pack(packed, id.hyphenated().encode_lower(&mut text).as_bytes())?;
        }
        (Values::Text(packed), Wire::Char) => {
            let mut text = [0; 4];
            let letter = char::from(u8::from_be_bytes(exact(bytes)?));
            pack(packed, letter.encode_utf8(&mut text).as_bytes())?;
        }
        (Values::Json(packed), Wire::Jsonb) => match bytes.split_first() {
            Some((1, text)) => pack(packed, utf8(text)?)?,
            _ => return Err(Undecoded::Malformed),
        },
        (Values::Text(packed) | Values::Json(packed), _) => pack(packed, utf8(bytes)?)?,
    }
    Ok(())
}

fn pack(packed: &mut Packed, bytes: &[u8]) -> Result<(), Undecoded> {
    packed.data.extend_from_slice(bytes);
    let end = u32::try_from(packed.data.len()).map_err(|_| Undecoded::Foreign)?;
    packed.ends.push(end);
    Ok(())
}

fn utf8(bytes: &[u8]) -> Result<&[u8], Undecoded> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(Undecoded::Malformed),
    }
}

fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Undecoded> {
    bytes.try_into().map_err(|_| Undecoded::Malformed)
}

fn int(bytes: &mut &[u8]) -> Result<i32, Undecoded> {
    let (first, rest) = bytes.split_first_chunk().ok_or(Undecoded::Malformed)?;
    *bytes = rest;
    Ok(i32::from_be_bytes(*first))
}

fn date(days: i32) -> Result<i32, Undecoded> {
    match days {
        i32::MIN | i32::MAX => Ok(days),
        days => days.checked_add(EPOCH_DAYS).ok_or(Undecoded::Foreign),
    }
}

fn timestamp(micros: i64) -> Result<i64, Undecoded> {
    match micros {
        i64::MIN | i64::MAX => Ok(micros),
        micros => micros.checked_add(EPOCH_MICROS).ok_or(Undecoded::Foreign),
    }
}

fn interval(bytes: &[u8]) -> Result<Interval, Undecoded> {
    let (micros, rest) = bytes.split_first_chunk().ok_or(Undecoded::Malformed)?;
    let (days, rest) = rest.split_first_chunk().ok_or(Undecoded::Malformed)?;
    Ok(Interval {
        months: i32::from_be_bytes(exact(rest)?),
        days: i32::from_be_bytes(*days),
        microseconds: i64::from_be_bytes(*micros),
    })
}

/// Digits, weight, sign, scale, then the digits, each of four decimal places.
fn numeric(packed: &mut Packed, bytes: &[u8]) -> Result<(), Undecoded> {
    let mut words = bytes.chunks_exact(2).map(|word| match *word {
        [high, low] => i16::from_be_bytes([high, low]),
        _ => 0,
    });
    let mut next = || words.next().ok_or(Undecoded::Malformed);
    let (number, weight, sign, scale) = (next()?, next()?, next()?, next()?);
    let special: Option<&[u8]> = match sign as u16 {
        0xc000 => Some(b"NaN"),
        0xd000 => Some(b"Infinity"),
        0xf000 => Some(b"-Infinity"),
        0x0000 | 0x4000 => None,
        _ => return Err(Undecoded::Malformed),
    };
    if let Some(text) = special {
        return pack(packed, text);
    }
    let digits: Vec<i16> = words.collect();
    let fits = bytes.len().is_multiple_of(2) && usize::try_from(number) == Ok(digits.len());
    if !fits || scale < 0 || !digits.iter().all(|digit| (0..10_000).contains(digit)) {
        return Err(Undecoded::Malformed);
    }
    let digit = |at: i32| {
        let index = usize::try_from(at).ok();
        index.and_then(|at| digits.get(at)).copied().unwrap_or(0)
    };
    let (weight, scale) = (i32::from(weight), usize::from(scale.unsigned_abs()));
    let mut text = String::with_capacity(digits.len() * 4 + scale + 8);
    if sign != 0 {
        text.push('-');
    }
    let _ = write!(text, "{}", if weight < 0 { 0 } else { digit(0) });
    for at in 1..=weight {
        let _ = write!(text, "{:04}", digit(at));
    }
    if scale > 0 {
        text.push('.');
        let whole = text.len();
        // Below the first digit there are zeros, as beyond the last.
        let mut at = weight + 1;
        while text.len() - whole < scale {
            let _ = write!(text, "{:04}", digit(at));
            at += 1;
        }
        text.truncate(whole + scale);
    }
    pack(packed, text.as_bytes())
}
