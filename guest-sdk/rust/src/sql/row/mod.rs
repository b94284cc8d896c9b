//! One row as a serde deserializer.

mod cell;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::DecodeError;
use crate::bindings::cofferdam::capabilities::sql as host;
use cell::Cell;

/// One row. It deserializes as a map by the names of its columns, as a sequence
/// by their order, and as its one value when it has one column.
///
/// | type in the database | in Rust |
/// |---|---|
/// | boolean | `bool` |
/// | smallint, integer, bigint | any integer that holds the value, or a float |
/// | real, double precision | `f32`, `f64` |
/// | numeric | a text; also an integer or a float, if it is one; decimal crates read the text |
/// | text, varchar, char, enumerations | `String`; an enum of unit variants |
/// | bytea | `Vec<u8>` |
/// | uuid | a text; the crate `uuid` reads it |
/// | date, time, timestamp, timestamptz | [`Date`](super::Date) and its kin; or ISO 8601 text, which the date crates read; or an integer |
/// | interval | [`Interval`](super::Interval), or ISO 8601 text |
/// | json, jsonb | anything that deserializes; `String` gets the text |
/// | arrays of these | `Vec` |
/// | any of them that may be null | `Option` |
#[derive(Debug, Clone, Copy)]
pub struct Row<'r> {
    columns: &'r [host::Column],
    batch: &'r host::Batch,
    index: usize,
}

impl<'r> Row<'r> {
    pub(super) fn new(columns: &'r [host::Column], batch: &'r host::Batch, index: usize) -> Self {
        Self {
            columns,
            batch,
            index,
        }
    }

    fn cells(self) -> impl Iterator<Item = Named<'r>> {
        let columns = self.columns.iter().zip(&self.batch.columns);
        columns.map(move |(column, values)| Named {
            name: &column.name,
            cell: Cell::of(values, self.index),
        })
    }

    /// The value of the only column.
    fn only(self) -> Result<Cell<'r>, DecodeError> {
        let mut cells = self.cells();
        match (cells.next(), cells.next()) {
            (Some(only), None) => only.cell.map_err(|error| error.of(only.name)),
            _ => Err(DecodeError::new(format_args!(
                "the row has {} columns, and one value was asked for",
                self.columns.len()
            ))),
        }
    }
}

/// A value and the name of its column.
struct Named<'r> {
    name: &'r str,
    cell: Result<Cell<'r>, DecodeError>,
}

macro_rules! one_value {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            let name = self.columns.first().map_or("", |column| column.name.as_str());
            self.only()?.$method(visitor).map_err(|error| error.of(name))
        }
    )*};
}

impl<'de> Deserializer<'de> for Row<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_map(Columns {
            cells: self.cells().collect::<Vec<_>>().into_iter(),
            value: None,
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_seq(Columns {
            cells: self.cells().collect::<Vec<_>>().into_iter(),
            value: None,
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if length != self.columns.len() {
            return Err(DecodeError::new(format_args!(
                "the row has {} columns, and {length} were asked for",
                self.columns.len()
            )));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.only() {
            Ok(cell) => cell.deserialize_newtype_struct(name, visitor),
            Err(_) => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.only() {
            Ok(cell) => cell.deserialize_option(visitor),
            Err(_) => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    one_value! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_u128 deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf
    }

    forward_to_deserialize_any! { unit unit_struct map struct identifier ignored_any }
}

/// The values of a row that are still to come.
struct Columns<'r, I> {
    cells: I,
    /// The one whose name was read.
    value: Option<Named<'r>>,
}

impl<'de, I: Iterator<Item = Named<'de>>> MapAccess<'de> for Columns<'de, I> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some(named) = self.cells.next() else {
            return Ok(None);
        };
        let name = named.name;
        self.value = Some(named);
        seed.deserialize(BorrowedStrDeserializer::new(name))
            .map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        let named = self.value.take();
        named.map_or_else(
            || Err(DecodeError::new("a value was asked for before its column")),
            |named| named.read(seed),
        )
    }
}

impl<'de, I: Iterator<Item = Named<'de>>> SeqAccess<'de> for Columns<'de, I> {
    type Error = DecodeError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, DecodeError> {
        self.cells.next().map(|named| named.read(seed)).transpose()
    }
}

impl<'de> Named<'de> {
    fn read<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, DecodeError> {
        let read = self.cell.and_then(|cell| seed.deserialize(cell));
        read.map_err(|error| error.of(self.name))
    }
}

#[cfg(test)]
mod tests;
