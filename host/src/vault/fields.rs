//! The fields of a secret.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::secret::Secret;

/// The fields of one secret: texts as they are, other JSON values in their JSON form.
pub type SecretFields = BTreeMap<String, Secret>;

/// One field: a text as it is, else its JSON form.
pub(super) struct Field(Secret);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::String(text) => Secret::new(text),
            other => Secret::new(other.to_string()),
        }))
    }
}

pub(super) fn plain(fields: BTreeMap<String, Field>) -> SecretFields {
    fields
        .into_iter()
        .map(|(name, Field(secret))| (name, secret))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_text_or_json() {
        let fields: BTreeMap<String, Field> =
            serde_json::from_str(r#"{"t":"a\"b","n":12,"o":{"k":[true,null]}}"#).expect("fine");
        let fields = plain(fields);
        let shown: Vec<_> = fields.values().filter_map(Secret::expose_str).collect();
        assert_eq!(shown, ["12", "{\"k\":[true,null]}", "a\"b"]);
    }
}
