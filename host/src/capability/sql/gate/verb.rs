//! What a statement does.

/// One kind of statement that a grant may allow.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Deserialize,
    serde::Serialize,
    strum::Display,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Verb {
    /// Reads rows: `SELECT`, `VALUES`, `TABLE`, `RETURNING`, and every table
    /// that another statement reads.
    Select,
    /// Adds rows.
    Insert,
    /// Changes rows, also by `ON CONFLICT DO UPDATE`; and locks them.
    Update,
    /// Removes rows.
    Delete,
    /// `MERGE`, which needs the verbs of its branches too.
    Merge,
    /// `COPY … FROM STDIN`.
    CopyIn,
    /// `COPY … TO STDOUT`.
    CopyOut,
}
