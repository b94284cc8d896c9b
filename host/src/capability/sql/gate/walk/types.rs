//! Types, each in its schema. What names an object of the catalogue
//! (`regclass`, `regproc` …) or makes one (`xml`, `serial`) is not among them.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, ObjectName, TimezoneInfo,
};
use sqlparser::tokenizer::Span;

use super::super::name::CATALOG;
use super::super::pen::refused;
use super::super::rejected::{Reason, Rejected};
use super::{Walk, Written, name};

/// Types that may be called by these names alone.
const OWN: [&str; 38] = [
    "int2",
    "int4",
    "int8",
    "float4",
    "float8",
    "numeric",
    "money",
    "bool",
    "text",
    "varchar",
    "bpchar",
    "bytea",
    "date",
    "time",
    "timetz",
    "timestamp",
    "timestamptz",
    "interval",
    "uuid",
    "json",
    "jsonb",
    "jsonpath",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "tsvector",
    "tsquery",
    "point",
    "box",
    "varbit",
    "bit",
];

impl Walk<'_> {
    /// A type; `near` is where it stands, as far as that is known.
    pub(super) fn data_type(&mut self, data_type: &DataType, near: Span) -> Written {
        match data_type {
            DataType::Array(ArrayElemTypeDef::SquareBracket(inner, _)) => {
                self.data_type(inner, near)?;
                self.pen.word("[ ]");
                Ok(())
            }
            DataType::Custom(name, modifiers) if modifiers.is_empty() => self.custom_type(name),
            _ => {
                let (own, counts) = own(data_type).ok_or(refused(Reason::TypeNotAllowed, near))?;
                self.pen.word(own);
                if !counts.is_empty() {
                    self.tuple(&counts, |walk, count| {
                        walk.pen.count(*count);
                        Ok(())
                    })?;
                }
                Ok(())
            }
        }
    }

    /// A type by a name that is no keyword.
    fn custom_type(&mut self, called: &ObjectName) -> Result<(), Rejected> {
        let name = name(called)?;
        // `public.point` is none of PostgreSQL's, whatever it is called.
        let own = matches!(name.schema.as_deref(), None | Some(CATALOG))
            && OWN.contains(&name.last.as_str());
        let schema = match name.schema.as_deref() {
            _ if own => CATALOG,
            None => self.rules.schema.as_str(),
            Some(schema) => schema,
        };
        if !own && !self.rules.names_type(schema, &name.last) {
            return Err(refused(Reason::TypeNotAllowed, name.span));
        }
        self.pen.qualified(schema, &name.last, name.span);
        Ok(())
    }
}

/// A type that the parser knows: its name in PostgreSQL and its counts.
fn own(data_type: &DataType) -> Option<(&'static str, Vec<i64>)> {
    let count = |n: &Option<u64>| -> Option<Vec<i64>> {
        n.iter().map(|n| i64::try_from(*n).ok()).collect()
    };
    let length = |l: &Option<CharacterLength>| match l {
        None => Some(Vec::new()),
        Some(CharacterLength::IntegerLength { length, unit: None }) => count(&Some(*length)),
        Some(_) => None,
    };
    let exact = |info: &ExactNumberInfo| match info {
        ExactNumberInfo::None => Some(Vec::new()),
        ExactNumberInfo::Precision(p) => count(&Some(*p)),
        ExactNumberInfo::PrecisionAndScale(p, s) => Some(vec![i64::try_from(*p).ok()?, *s]),
    };
    Some(match data_type {
        DataType::SmallInt(None) | DataType::Int2(None) => ("pg_catalog.int2", vec![]),
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => {
            ("pg_catalog.int4", vec![])
        }
        DataType::BigInt(None) | DataType::Int8(None) => ("pg_catalog.int8", vec![]),
        DataType::Real | DataType::Float4 => ("pg_catalog.float4", vec![]),
        DataType::DoublePrecision | DataType::Float8 => ("pg_catalog.float8", vec![]),
        DataType::Float(ExactNumberInfo::None) => ("pg_catalog.float8", vec![]),
        DataType::Float(ExactNumberInfo::Precision(1..=24)) => ("pg_catalog.float4", vec![]),
        DataType::Float(ExactNumberInfo::Precision(25..=53)) => ("pg_catalog.float8", vec![]),
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
            ("pg_catalog.numeric", exact(info)?)
        }
        DataType::Bool | DataType::Boolean => ("pg_catalog.bool", vec![]),
        DataType::Text => ("pg_catalog.text", vec![]),
        DataType::Varchar(l) | DataType::CharacterVarying(l) | DataType::CharVarying(l) => {
            ("pg_catalog.varchar", length(l)?)
        }
        DataType::Char(None) | DataType::Character(None) => ("pg_catalog.bpchar", vec![1]),
        DataType::Char(l) | DataType::Character(l) => ("pg_catalog.bpchar", length(l)?),
        DataType::Bytea => ("pg_catalog.bytea", vec![]),
        DataType::Date => ("pg_catalog.date", vec![]),
        DataType::Time(p, zone) => match zone {
            TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => ("pg_catalog.time", count(p)?),
            TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => ("pg_catalog.timetz", count(p)?),
        },
        DataType::Timestamp(p, zone) => match zone {
            TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => {
                ("pg_catalog.timestamp", count(p)?)
            }
            TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => ("pg_catalog.timestamptz", count(p)?),
        },
        DataType::Interval {
            fields: None,
            precision: None,
        } => ("pg_catalog.interval", vec![]),
        DataType::Uuid => ("pg_catalog.uuid", vec![]),
        DataType::JSON => ("pg_catalog.json", vec![]),
        DataType::JSONB => ("pg_catalog.jsonb", vec![]),
        DataType::TsVector => ("pg_catalog.tsvector", vec![]),
        DataType::TsQuery => ("pg_catalog.tsquery", vec![]),
        _ => return None,
    })
}
