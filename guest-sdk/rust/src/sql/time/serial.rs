//! The counts in serde: as text out, from either in.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use super::{Date, Time, Timestamp, Timestamptz};

macro_rules! counts {
    ($($name:ident($count:ty), $text:literal;)*) => {$(
        impl From<$name> for $count {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            /// From its text or its count.
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;

                impl<'de> Visitor<'de> for Either {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($text)
                    }

                    fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<$name, E> {
                        let count = <$count>::try_from(count).map_err(E::custom)?;
                        Ok($name(count))
                    }

                    fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<$name, E> {
                        let count = <$count>::try_from(count).map_err(E::custom)?;
                        Ok($name(count))
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }

                    fn visit_newtype_struct<D: Deserializer<'de>>(
                        self,
                        deserializer: D,
                    ) -> Result<$name, D::Error> {
                        deserializer.deserialize_any(self)
                    }
                }

                deserializer.deserialize_newtype_struct(stringify!($name), Either)
            }
        }
    )*};
}

counts! {
    Date(i32), "a date";
    Time(i64), "a time of day";
    Timestamp(i64), "a date and time";
    Timestamptz(i64), "a moment";
}
