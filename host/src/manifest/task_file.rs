//! `task.toml`: what the author of a task says about it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::path::Path;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{Description, FORMAT, Manifest, NeedKind, TaskFileError};
use crate::name::{GrantName, TaskName};

/// A parsed `task.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskFile {
    /// The task's name, as in its grants file.
    pub name: TaskName,
    /// The author's version of the task.
    pub version: Option<String>,
    /// One sentence for the reviewer.
    pub description: Option<String>,
    /// The grants that the task opens by name.
    #[serde(default, deserialize_with = "unique_needs")]
    pub needs: BTreeMap<GrantName, NeedKind>,
}

impl TaskFile {
    /// Reads a file.
    pub fn read(file: &Path) -> Result<Self, TaskFileError> {
        let text = std::fs::read_to_string(file).map_err(|source| TaskFileError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        Self::parse(&text, file)
    }

    /// Parses the text of a file; its name is for messages.
    pub fn parse(text: &str, file: &Path) -> Result<Self, TaskFileError> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.as_bytes().get(..start).unwrap_or_default();
            TaskFileError::Invalid {
                file: file.to_owned(),
                line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
                message: error.message().to_owned(),
            }
        })
    }

    /// The manifest of a component that describes itself so.
    pub fn manifest(self, description: Option<Description>) -> Manifest {
        let (input_schema, output_schema) = description
            .map(|it| (it.input_schema, it.output_schema))
            .unzip();
        Manifest {
            format: FORMAT,
            name: self.name,
            version: self.version,
            description: self.description,
            needs: self.needs,
            input_schema,
            output_schema,
        }
    }
}

/// A map in which no name stands twice: JSON would let the last one win.
pub(super) fn unique_needs<'de, D>(
    deserializer: D,
) -> Result<BTreeMap<GrantName, NeedKind>, D::Error>
where
    D: Deserializer<'de>,
{
    struct Needs;

    impl<'de> Visitor<'de> for Needs {
        type Value = BTreeMap<GrantName, NeedKind>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("grant names, each with `http`, `keys`, `reveal` or `sql`")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut needs = BTreeMap::new();
            while let Some((name, kind)) = map.next_entry::<GrantName, NeedKind>()? {
                match needs.entry(name) {
                    Entry::Vacant(entry) => entry.insert(kind),
                    Entry::Occupied(entry) => {
                        let name = entry.key();
                        return Err(A::Error::custom(format_args!("`{name}` stands twice")));
                    }
                };
            }
            Ok(needs)
        }
    }

    deserializer.deserialize_map(Needs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TaskFile, String> {
        TaskFile::parse(text, Path::new("task.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_name_and_needs() {
        let file = parse(
            "name = \"invoice-sync\"\ndescription = \"Adds up.\"\n[needs]\nbilling = \"http\"\nsigner = \"keys\"\n",
        )
        .unwrap();
        assert_eq!(file.name.as_str(), "invoice-sync");
        let needs: Vec<_> = file
            .needs
            .iter()
            .map(|(name, kind)| format!("{name} {kind}"))
            .collect();
        assert_eq!(needs, ["billing http", "signer keys"]);
        assert!(parse("name = \"a\"").unwrap().needs.is_empty());
    }

    #[test]
    fn errors_name_the_line_and_the_field() {
        insta::assert_snapshot!(parse("name = \"a\"\nnmae = \"b\"").unwrap_err(), @"task.toml:2: unknown field `nmae`, expected one of `name`, `version`, `description`, `needs`");
        insta::assert_snapshot!(parse("description = \"b\"").unwrap_err(), @"task.toml:1: missing field `name`");
        insta::assert_snapshot!(parse("name = \"A\"").unwrap_err(), @"task.toml:1: `A` is not a valid task name: 1 to 64 of a-z, 0-9 and -");
        insta::assert_snapshot!(parse("name = \"a\"\n\n[needs]\nb = \"ssh\"").unwrap_err(), @"task.toml:4: unknown variant `ssh`, expected one of `http`, `keys`, `reveal`, `sql`");
        insta::assert_snapshot!(parse("name = \"a\"\n[needs]\nb = \"http\"\nb = \"keys\"").unwrap_err(), @"task.toml:4: duplicate key");
        insta::assert_snapshot!(parse("name = \"a\"\n[needs]\n\"../b\" = \"http\"").unwrap_err(), @"task.toml:3: `../b` is not a valid grant name: 1 to 64 of a-z, 0-9, - and _");
        insta::assert_snapshot!(parse("name = ").unwrap_err(), @"task.toml:1: string values must be quoted, expected literal string");
    }
}
