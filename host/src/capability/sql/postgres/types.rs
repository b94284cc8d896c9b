//! PostgreSQL's types as the contract's.

use tokio_postgres::types::{Kind, Type};

use crate::capability::bindings::cofferdam::capabilities::sql::DataType;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capability::sql) struct ColumnKind {
    /// How one value is sent.
    pub(super) wire: Wire,
    /// Whether its values are arrays.
    pub(in crate::capability::sql) is_array: bool,
}

/// How a value is sent, in the binary format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Bool,
    Int2,
    Int4,
    Int8,
    /// An unsigned number of four bytes.
    Oid,
    Float4,
    Float8,
    Numeric,
    /// The text itself.
    Text,
    /// PostgreSQL's `"char"`: one byte.
    Char,
    Bytea,
    Uuid,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    /// The text itself.
    Json,
    /// A version, then the text.
    Jsonb,
}

impl ColumnKind {
    /// The contract's word.
    pub(in crate::capability::sql) fn data_type(self) -> DataType {
        match self.wire {
            Wire::Bool => DataType::Boolean,
            Wire::Int2 => DataType::Int16,
            Wire::Int4 => DataType::Int32,
            Wire::Int8 | Wire::Oid => DataType::Int64,
            Wire::Float4 => DataType::Float32,
            Wire::Float8 => DataType::Float64,
            Wire::Numeric => DataType::Numeric,
            Wire::Text | Wire::Char => DataType::Text,
            Wire::Bytea => DataType::Bytes,
            Wire::Uuid => DataType::Uuid,
            Wire::Date => DataType::Date,
            Wire::Time => DataType::Time,
            Wire::Timestamp => DataType::Timestamp,
            Wire::Timestamptz => DataType::Timestamptz,
            Wire::Interval => DataType::Interval,
            Wire::Json | Wire::Jsonb => DataType::Json,
        }
    }
}

/// What a column of a type holds; `None` when the contract has no word for it.
pub(super) fn kind_of(of: &Type) -> Option<ColumnKind> {
    match based(of).kind() {
        Kind::Array(element) => Some(ColumnKind {
            wire: wire_of(element)?,
            is_array: true,
        }),
        _ => Some(ColumnKind {
            wire: wire_of(of)?,
            is_array: false,
        }),
    }
}

/// How one value of a type is sent.
pub(super) fn wire_of(of: &Type) -> Option<Wire> {
    let of = based(of);
    if matches!(of.kind(), Kind::Enum(_)) {
        return Some(Wire::Text);
    }
    Some(match *of {
        Type::BOOL => Wire::Bool,
        Type::INT2 => Wire::Int2,
        Type::INT4 => Wire::Int4,
        Type::INT8 => Wire::Int8,
        Type::OID => Wire::Oid,
        Type::FLOAT4 => Wire::Float4,
        Type::FLOAT8 => Wire::Float8,
        Type::NUMERIC => Wire::Numeric,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::XML | Type::UNKNOWN => {
            Wire::Text
        }
        Type::CHAR => Wire::Char,
        Type::BYTEA => Wire::Bytea,
        Type::UUID => Wire::Uuid,
        Type::DATE => Wire::Date,
        Type::TIME => Wire::Time,
        Type::TIMESTAMP => Wire::Timestamp,
        Type::TIMESTAMPTZ => Wire::Timestamptz,
        Type::INTERVAL => Wire::Interval,
        Type::JSON => Wire::Json,
        Type::JSONB => Wire::Jsonb,
        // An extension's type has no fixed number.
        _ if of.name() == "citext" => Wire::Text,
        _ => return None,
    })
}

/// A domain is sent as what it is made from.
pub(super) fn based(of: &Type) -> &Type {
    let mut of = of;
    while let Kind::Domain(base) = of.kind() {
        of = base;
    }
    of
}
