//! Whether a result is JSON that everybody can read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Looks at all of a text, which the task wrote, and keeps nothing of it.
///
/// A [`RawValue`](serde_json::value::RawValue) alone takes what other readers choke on:
/// any depth, half of a surrogate pair, numbers beyond every range. A run that is done
/// must not look failed because its result cannot be read.
///
/// # Errors
/// What is wrong with it, in serde_json's words; at most 128 levels are taken.
pub(super) fn check(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<Plain>(text).map(|Plain| ())
}

struct Plain;

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Looking)
    }
}

struct Looking;

impl<'de> Visitor<'de> for Looking {
    type Value = Plain;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Plain, E> {
        match number.is_finite() {
            true => Ok(Plain),
            false => Err(E::custom("a number that is out of every range")),
        }
    }

    fn visit_str<E>(self, _: &str) -> Result<Plain, E> {
        Ok(Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Plain, A::Error> {
        while seq.next_element::<Plain>()?.is_some() {}
        Ok(Plain)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Plain, A::Error> {
        while map.next_entry::<Plain, Plain>()?.is_some() {}
        Ok(Plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_reader_takes_is_taken() {
        for text in [
            "null",
            r#"{"a": [1, -2, 2.5, 1e300, true, "ü 😀"]}"#,
            &format!("{}{}", "[".repeat(127), "]".repeat(127)),
        ] {
            assert!(check(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_some_choke_on_is_not() {
        for text in [
            "",
            "{",
            "1 2",
            r#""\ud800""#,
            r#"{"\udc00": 1}"#,
            "1e999",
            &"9".repeat(5_000),
            &format!("{}{}", "[".repeat(129), "]".repeat(129)),
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
