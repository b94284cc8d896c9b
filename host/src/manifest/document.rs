//! The manifest itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::task_file::unique_needs;
use super::{ManifestError, section};
use crate::name::{GrantName, TaskName};

/// The only format there is.
pub const FORMAT: u32 = 1;

/// What a task says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`FORMAT`].
    pub format: u32,
    /// The task's name, as in its grants file.
    pub name: TaskName,
    /// The author's version of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// One sentence for the reviewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The grants that the task opens by name.
    #[serde(deserialize_with = "unique_needs")]
    pub needs: BTreeMap<GrantName, NeedKind>,
    /// JSON Schema of the input; none when the component does not describe itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// JSON Schema of the result; none when the component does not describe itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
}

/// The kind of a grant; also the name of the WIT interface that serves it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum NeedKind {
    /// `[http.NAME]`.
    Http,
    /// `[keys.NAME]`.
    Keys,
    /// `[reveal.NAME]`.
    Reveal,
    /// `[sql.NAME]`.
    Sql,
}

impl Manifest {
    /// The manifest of a component; none when it has none.
    ///
    /// The bytes may come from anywhere: sizes are bounded, unknown fields and
    /// a second manifest are refused, and nothing panics.
    pub fn read(component: &[u8]) -> Result<Option<Self>, ManifestError> {
        let Some(json) = section::find(component)? else {
            return Ok(None);
        };
        let manifest: Self = serde_json::from_slice(json).map_err(ManifestError::Invalid)?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Format(manifest.format));
        }
        Ok(Some(manifest))
    }

    /// The component with this manifest at its end, in place of an earlier
    /// one. The same component and manifest give the same bytes.
    pub fn embed(&self, component: &[u8]) -> Result<Vec<u8>, ManifestError> {
        let json = serde_json::to_vec(self).map_err(ManifestError::Invalid)?;
        section::replace(component, &json)
    }

    /// The names of the needs of one kind.
    pub fn needs_of(&self, kind: NeedKind) -> impl Iterator<Item = &GrantName> {
        self.needs
            .iter()
            .filter(move |(_, of)| **of == kind)
            .map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wasm_encoder::{Component, CustomSection, Module, ModuleSection};

    use super::section::SECTION;
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            name: "invoice-sync".parse().unwrap(),
            version: Some("1.2.0".to_owned()),
            description: None,
            needs: BTreeMap::from([
                ("signer".parse().unwrap(), NeedKind::Keys),
                ("billing".parse().unwrap(), NeedKind::Http),
            ]),
            input_schema: Some(serde_json::json!({"type": "object"})),
            output_schema: None,
        }
    }

    fn holding(json: &str) -> Vec<u8> {
        let mut component = Component::new();
        component.section(&CustomSection {
            name: SECTION.into(),
            data: json.as_bytes().into(),
        });
        component.finish()
    }

    fn refused(json: &str) -> String {
        let error = Manifest::read(&holding(json)).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        cause.unwrap_or_else(|| error.to_string())
    }

    #[test]
    fn what_is_embedded_is_read_and_the_bytes_are_the_same() {
        let empty = Component::new().finish();
        assert_eq!(Manifest::read(&empty).unwrap(), None);
        let once = manifest().embed(&empty).unwrap();
        assert_eq!(Manifest::read(&once).unwrap(), Some(manifest()));
        assert_eq!(manifest().embed(&empty).unwrap(), once);
        assert_eq!(manifest().embed(&once).unwrap(), once);
        let signers: Vec<_> = manifest().needs_of(NeedKind::Keys).cloned().collect();
        assert_eq!(signers, ["signer".parse().unwrap()]);
    }

    #[test]
    fn a_manifest_is_read_strictly() {
        assert!(Manifest::read(&holding(r#"{"format":1,"name":"a","needs":{}}"#)).is_ok());
        insta::assert_snapshot!(refused(r#"{"format":2,"name":"a","needs":{}}"#), @"manifest format 2 is not known; this version knows 1");
        insta::assert_snapshot!(refused(r#"{"format":1,"name":"a"}"#), @"missing field `needs` at line 1 column 23");
        insta::assert_snapshot!(refused(r#"{"format":1,"name":"a","needs":{},"needz":{}}"#), @"unknown field `needz`, expected one of `format`, `name`, `version`, `description`, `needs`, `input_schema`, `output_schema` at line 1 column 41");
        insta::assert_snapshot!(refused(r#"{"format":1,"name":"A","needs":{}}"#), @"`A` is not a valid task name: 1 to 64 of a-z, 0-9 and - at line 1 column 22");
        insta::assert_snapshot!(refused(r#"{"format":1,"name":"a","needs":{"b":"ssh"}}"#), @"unknown variant `ssh`, expected one of `http`, `keys`, `reveal`, `sql` at line 1 column 41");
        insta::assert_snapshot!(refused(r#"{"format":1,"name":"a","needs":{"b":"http","b":"keys"}}"#), @"`b` stands twice at line 1 column 54");
        insta::assert_snapshot!(refused(r#"{"format":1,"name":"a","needs":{}} x"#), @"trailing characters at line 1 column 36");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Manifest::read(&bytes);
            let _ = manifest().embed(&bytes);
        }

        #[test]
        fn a_damaged_component_never_panics(at in 0usize..1024, byte: u8, cut in 0usize..1024) {
            let mut component = Component::new();
            component.section(&ModuleSection(&Module::new()));
            let mut bytes = manifest().embed(&component.finish()).unwrap();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            let _ = Manifest::read(&bytes);
            let _ = manifest().embed(&bytes);
        }
    }
}
