//! Values go to a real PostgreSQL and come back as they went.

use std::sync::Arc;

use cofferdam_devkit::postgres::{Options, Postgres};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::postgres::{Fault, Login, Place, Session, Target, connect};
use crate::capability::bindings::cofferdam::capabilities::sql::{
    ColumnValues, Interval, Packed, Series, Value, Values,
};
use crate::secret::Secret;

/// How many values of each type.
const EACH: usize = 60;

pub(super) async fn session(postgres: &Postgres) -> Session {
    let target = Target {
        place: Place::Addresses(Arc::new([postgres.socket()])),
        tls: None,
        database: Postgres::DATABASE.to_owned(),
        options: "-c timezone=UTC".to_owned(),
        max_message: 1 << 20,
    };
    let password = Secret::new(postgres.password());
    let login = Login {
        user: Postgres::SUPERUSER,
        password: &password,
    };
    connect(&target, login).await.unwrap()
}

/// All columns of the first row, and that there is one.
async fn row(
    session: &Session,
    text: &str,
    parameters: &[Value],
) -> Result<Vec<ColumnValues>, Fault> {
    let prepared = session.prepare(text).await?;
    let mut rows = session.query(&prepared, parameters).await?;
    let fetched = rows.fetch(session, 10, 1 << 20).await?;
    assert_eq!((fetched.rows, fetched.ended), (1, true));
    Ok(fetched.columns)
}

fn pack(texts: &[&[u8]]) -> Packed {
    let mut packed = Packed {
        data: Vec::new(),
        ends: Vec::new(),
    };
    for text in texts {
        packed.data.extend_from_slice(text);
        packed.ends.push(packed.data.len().try_into().unwrap());
    }
    packed
}

/// A value as the only one of a column.
fn alone(value: &Value) -> Values {
    match value.clone() {
        Value::Boolean(it) => Values::Boolean(vec![it]),
        Value::Int16(it) => Values::Int16(vec![it]),
        Value::Int32(it) => Values::Int32(vec![it]),
        Value::Int64(it) => Values::Int64(vec![it]),
        Value::Float32(it) => Values::Float32(vec![it]),
        Value::Float64(it) => Values::Float64(vec![it]),
        Value::Numeric(it) => Values::Numeric(pack(&[it.as_bytes()])),
        Value::Text(it) => Values::Text(pack(&[it.as_bytes()])),
        Value::Bytes(it) => Values::Bytes(pack(&[&it])),
        Value::Uuid(it) => Values::Uuid(pack(&[it.as_bytes()])),
        Value::Date(it) => Values::Date(vec![it]),
        Value::Time(it) => Values::Time(vec![it]),
        Value::Timestamp(it) => Values::Timestamp(vec![it]),
        Value::Timestamptz(it) => Values::Timestamptz(vec![it]),
        Value::Interval(it) => Values::Interval(vec![it]),
        Value::Json(it) => Values::Json(pack(&[it.as_bytes()])),
        Value::Null | Value::Array(_) => panic!("no scalar"),
    }
}

/// `Debug`, in which NaN equals NaN.
fn same(found: &impl std::fmt::Debug, expected: &impl std::fmt::Debug, what: &str) {
    assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{what}");
}

/// Sends values of one type and reads them back, alone and as an array with a
/// null in it; and compares with what the server makes of them as text.
async fn round_trips(session: &Session, type_: &str, strategy: impl Strategy<Value = Value>) {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let made: Vec<Value> = (0..EACH)
        .map(|_| strategy.new_tree(&mut runner).unwrap().current())
        .collect();
    for value in &made {
        let text = format!("SELECT $1::{type_}");
        let columns = row(session, &text, std::slice::from_ref(value))
            .await
            .unwrap_or_else(|fault| panic!("{type_} {value:?}: {fault:?}"));
        let expected = ColumnValues::Scalars(Series {
            values: alone(value),
            nulls: Vec::new(),
        });
        same(&columns, &[expected], type_);
    }
    let text = format!("SELECT $1::{type_}");
    let columns = row(session, &text, &[Value::Null]).await.unwrap();
    let [ColumnValues::Scalars(series)] = columns.as_slice() else {
        panic!("one column");
    };
    assert_eq!(series.nulls, [true]);

    let mut series = Series {
        values: joined(&made),
        nulls: vec![false; made.len()],
    };
    let text = format!("SELECT $1::{type_}[], cardinality($1::{type_}[]), $1::{type_}[]");
    for with_null in [false, true] {
        if with_null {
            series.nulls[1] = true;
        }
        let parameters = [Value::Array(series.clone())];
        let columns = row(session, &text, &parameters).await.unwrap();
        let [
            ColumnValues::Arrays(arrays),
            ColumnValues::Scalars(number),
            _,
        ] = columns.as_slice()
        else {
            panic!("an array, a number and an array");
        };
        assert_eq!(arrays.ends, [EACH as u32]);
        same(&number.values, &Values::Int32(vec![EACH as i32]), type_);
        if with_null {
            assert_eq!(arrays.elements.nulls, series.nulls);
        } else {
            assert!(arrays.elements.nulls.is_empty());
            same(&arrays.elements.values, &series.values, type_);
        }
    }
    let empty = Value::Array(Series {
        values: joined(&made[..0]),
        nulls: Vec::new(),
    });
    let text = format!("SELECT $1::{type_}[]");
    let columns = row(session, &text, &[empty]).await.unwrap();
    let [ColumnValues::Arrays(arrays)] = columns.as_slice() else {
        panic!("an array");
    };
    assert_eq!(
        (arrays.ends.as_slice(), arrays.nulls.len()),
        ([0].as_slice(), 0)
    );
}

/// The values of a list as one series.
fn joined(values: &[Value]) -> Values {
    macro_rules! list {
        ($case:ident) => {
            Values::$case(
                values
                    .iter()
                    .map(|value| match value {
                        Value::$case(it) => it.clone(),
                        other => panic!("{other:?}"),
                    })
                    .collect(),
            )
        };
    }
    macro_rules! texts {
        ($case:ident) => {
            Values::$case(pack(
                &values
                    .iter()
                    .map(|value| match value {
                        Value::$case(it) => it.as_ref(),
                        other => panic!("{other:?}"),
                    })
                    .collect::<Vec<&[u8]>>(),
            ))
        };
    }
    match values.first() {
        Some(Value::Boolean(_)) | None => list!(Boolean),
        Some(Value::Int16(_)) => list!(Int16),
        Some(Value::Int32(_)) => list!(Int32),
        Some(Value::Int64(_)) => list!(Int64),
        Some(Value::Float32(_)) => list!(Float32),
        Some(Value::Float64(_)) => list!(Float64),
        Some(Value::Date(_)) => list!(Date),
        Some(Value::Time(_)) => list!(Time),
        Some(Value::Timestamp(_)) => list!(Timestamp),
        Some(Value::Timestamptz(_)) => list!(Timestamptz),
        Some(Value::Interval(_)) => list!(Interval),
        Some(Value::Numeric(_)) => texts!(Numeric),
        Some(Value::Text(_)) => texts!(Text),
        Some(Value::Bytes(_)) => texts!(Bytes),
        Some(Value::Uuid(_)) => texts!(Uuid),
        Some(Value::Json(_)) => texts!(Json),
        Some(Value::Null | Value::Array(_)) => panic!("no scalar"),
    }
}

/// Texts without NUL, which PostgreSQL has not; with what arrays must quote.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^\0]{0,20}",
        r#"[{}",\\ 'NUL]{0,8}"#,
        Just(String::new()),
        Just("NULL".to_owned()),
    ]
}

/// Exact decimals as PostgreSQL writes them.
fn decimals() -> impl Strategy<Value = String> {
    let plain = ("-?(0|[1-9][0-9]{0,40})", "(\\.[0-9]{1,30})?").prop_map(|(whole, fraction)| {
        let text = format!("{whole}{fraction}");
        // There is one zero, and it has no sign.
        match text.strip_prefix('-') {
            Some(rest) if rest.bytes().all(|b| b == b'0' || b == b'.') => rest.to_owned(),
            _ => text,
        }
    });
    let small = "0\\.0{0,30}[1-9][0-9]{0,8}";
    let large = "[1-9]0{0,60}";
    prop_oneof![
        plain,
        small,
        large,
        Just("NaN".to_owned()),
        Just("Infinity".to_owned()),
        Just("-Infinity".to_owned()),
    ]
}

fn days() -> impl Strategy<Value = i32> {
    // 4713 BC to AD 5874897, in days since 1970, and the two ends.
    prop_oneof![
        -2_440_588..=2_145_031_948_i32,
        Just(i32::MIN),
        Just(i32::MAX),
        Just(0),
    ]
}

fn micros() -> impl Strategy<Value = i64> {
    prop_oneof![
        -210_866_803_200_000_000..=9_223_372_036_854_775_806_i64,
        Just(i64::MIN),
        Just(i64::MAX),
        Just(0),
        Just(-1),
    ]
}

fn intervals() -> impl Strategy<Value = Interval> {
    let parts = (-100_000..100_000, any::<i16>(), any::<i32>());
    parts.prop_map(|(months, days, micros): (i32, i16, i32)| Interval {
        months,
        days: days.into(),
        microseconds: i64::from(micros) * 1_001,
    })
}

#[tokio::test]
async fn every_type_comes_back_as_it_went() {
    let postgres = Postgres::start(Options::default()).unwrap();
    let session = session(&postgres).await;
    let s = &session;
    round_trips(s, "bool", any::<bool>().prop_map(Value::Boolean)).await;
    round_trips(s, "int2", any::<i16>().prop_map(Value::Int16)).await;
    round_trips(s, "int4", any::<i32>().prop_map(Value::Int32)).await;
    round_trips(s, "int8", any::<i64>().prop_map(Value::Int64)).await;
    let float32 = prop::num::f32::ANY.prop_map(|it| if it.is_nan() { f32::NAN } else { it });
    round_trips(s, "float4", float32.prop_map(Value::Float32)).await;
    let float64 = prop::num::f64::ANY.prop_map(|it| if it.is_nan() { f64::NAN } else { it });
    round_trips(s, "float8", float64.prop_map(Value::Float64)).await;
    round_trips(s, "numeric", decimals().prop_map(Value::Numeric)).await;
    round_trips(s, "text", texts().prop_map(Value::Text)).await;
    round_trips(s, "varchar", texts().prop_map(Value::Text)).await;
    round_trips(s, "bytea", vec(any::<u8>(), 0..50).prop_map(Value::Bytes)).await;
    let uuids = any::<u128>().prop_map(|it| uuid::Uuid::from_u128(it).to_string());
    round_trips(s, "uuid", uuids.prop_map(Value::Uuid)).await;
    round_trips(s, "date", days().prop_map(Value::Date)).await;
    let times = prop_oneof![0..=86_400_000_000_i64, Just(86_400_000_000)];
    round_trips(s, "time", times.prop_map(Value::Time)).await;
    round_trips(s, "timestamp", micros().prop_map(Value::Timestamp)).await;
    round_trips(s, "timestamptz", micros().prop_map(Value::Timestamptz)).await;
    round_trips(s, "interval", intervals().prop_map(Value::Interval)).await;
    let json = texts().prop_map(|it| Value::Json(serde_json::json!([it, 1, null]).to_string()));
    round_trips(s, "json", json).await;
    session.close().await;
}

/// A value that the server reads, and the case it comes back as.
async fn reads(session: &Session, literal: &str) -> Values {
    let columns = row(session, &format!("SELECT {literal}"), &[])
        .await
        .unwrap();
    match columns.into_iter().next() {
        Some(ColumnValues::Scalars(series)) => series.values,
        other => panic!("{literal}: {other:?}"),
    }
}

#[tokio::test]
async fn what_the_server_writes_as_text_is_what_comes_back() {
    let postgres = Postgres::start(Options::default()).unwrap();
    let session = session(&postgres).await;
    let numbers = [
        "0",
        "0.0",
        "0.000",
        "1",
        "-1",
        "10000",
        "100000000",
        "9999",
        "12.50",
        "-0.0001",
        "0.00001",
        "0.000010000",
        "1e-20",
        "1e100",
        "123456789012345678901234567890.000000001",
        "0.1234567890123456789",
        "10000.0001",
        "99990000.00009999",
        "1e-16383",
        "1e131071",
    ];
    for number in numbers {
        let text = format!("SELECT ('{number}'::numeric)::text, '{number}'::numeric");
        let columns = row(&session, &text, &[]).await.unwrap();
        let [ColumnValues::Scalars(text), ColumnValues::Scalars(number)] = columns.as_slice()
        else {
            panic!("two columns");
        };
        let (Values::Text(text), Values::Numeric(number)) = (&text.values, &number.values) else {
            panic!("a text and a number");
        };
        assert_eq!(text.data, number.data);
    }
    for (literal, expected) in [
        ("date '1970-01-02'", Values::Date(vec![1])),
        ("date 'infinity'", Values::Date(vec![i32::MAX])),
        (
            "timestamp '1970-01-01 00:00:01'",
            Values::Timestamp(vec![1_000_000]),
        ),
        (
            "timestamptz '1970-01-01 01:00:00+01'",
            Values::Timestamptz(vec![0]),
        ),
        (
            "timestamptz '-infinity'",
            Values::Timestamptz(vec![i64::MIN]),
        ),
        ("time '00:00:00.000001'", Values::Time(vec![1])),
        ("'a'::name", Values::Text(pack(&[b"a"]))),
        ("'a'::\"char\"", Values::Text(pack(&[b"a"]))),
        ("'ab'::char(4)", Values::Text(pack(&[b"ab  "]))),
        ("7::oid", Values::Int64(vec![7])),
        ("4294967295::oid", Values::Int64(vec![4_294_967_295])),
        (
            "'{\"b\": 1, \"a\": 2}'::jsonb",
            Values::Json(pack(&[b"{\"a\": 2, \"b\": 1}"])),
        ),
        ("'<a/>'::xml", Values::Text(pack(&[b"<a/>"]))),
    ] {
        same(&reads(&session, literal).await, &expected, literal);
    }
    session
        .command(
            "CREATE TYPE mood AS ENUM ('glad', 'sad');
             CREATE DOMAIN positive AS int CHECK (VALUE > 0);
             CREATE TABLE feelings (m mood, n positive, ms mood[])",
        )
        .await
        .unwrap();
    let insert = session
        .prepare("INSERT INTO feelings VALUES ($1, $2, $3)")
        .await
        .unwrap();
    let moods = Series {
        values: Values::Text(pack(&[b"sad", b"glad"])),
        nulls: Vec::new(),
    };
    let values = [
        Value::Text("glad".to_owned()),
        Value::Int64(3),
        Value::Array(moods),
    ];
    assert_eq!(session.execute(&insert, &values).await, Ok(1));
    let columns = row(&session, "SELECT m, n, ms FROM feelings", &[])
        .await
        .unwrap();
    let [
        ColumnValues::Scalars(mood),
        ColumnValues::Scalars(number),
        ColumnValues::Arrays(moods),
    ] = columns.as_slice()
    else {
        panic!("three columns");
    };
    same(&mood.values, &Values::Text(pack(&[b"glad"])), "enum");
    same(&number.values, &Values::Int32(vec![3]), "domain");
    same(
        &moods.elements.values,
        &Values::Text(pack(&[b"sad", b"glad"])),
        "enum[]",
    );
    session.close().await;
}

#[tokio::test]
async fn a_parameter_becomes_what_the_statement_wants_where_nothing_is_lost() {
    let postgres = Postgres::start(Options::default()).unwrap();
    let session = session(&postgres).await;
    let text = |it: &str| Value::Text(it.to_owned());
    for (wanted, value, shown) in [
        ("int8", Value::Int16(-5), Some("-5")),
        ("int2", Value::Int64(32_767), Some("32767")),
        ("int2", Value::Int64(32_768), None),
        ("int4", Value::Int64(1 << 40), None),
        ("oid", Value::Int32(-1), None),
        (
            "float8",
            Value::Int64(1 << 53),
            Some("9.007199254740992e+15"),
        ),
        ("float8", Value::Int64((1 << 53) + 1), None),
        ("float4", Value::Int32(16_777_217), None),
        ("float8", Value::Float32(0.5), Some("0.5")),
        ("float4", Value::Float64(0.5), None),
        (
            "numeric",
            Value::Int64(i64::MIN),
            Some("-9223372036854775808"),
        ),
        ("numeric", Value::Float64(0.5), None),
        ("numeric", text("1.50"), Some("1.50")),
        ("int4", text("12"), Some("12")),
        ("inet", text("10.0.0.1"), Some("10.0.0.1/32")),
        ("point", text("(1,2)"), Some("(1,2)")),
        (
            "timestamptz",
            text("2020-01-01 00:00Z"),
            Some("2020-01-01 00:00:00+00"),
        ),
        ("jsonb", text("[1]"), Some("[1]")),
        ("jsonb", Value::Json("[1, 2]".to_owned()), Some("[1, 2]")),
        ("bytea", text("\\x00"), None),
        ("text", Value::Int32(1), None),
        ("text", text("a\0b"), None),
        ("bool", Value::Int16(1), None),
        ("time", Value::Time(-1), None),
        ("date", Value::Timestamp(0), None),
        (
            "int4",
            Value::Array(Series {
                values: Values::Int32(vec![1]),
                nulls: Vec::new(),
            }),
            None,
        ),
        ("int4[]", Value::Int32(1), None),
        (
            "int2[]",
            Value::Array(Series {
                values: Values::Int64(vec![1, 99_999]),
                nulls: Vec::new(),
            }),
            None,
        ),
        (
            "int4[]",
            Value::Array(Series {
                values: Values::Int64(vec![1]),
                nulls: vec![true, false],
            }),
            None,
        ),
        ("int4[]", text("{1,2}"), Some("{1,2}")),
        ("int4[]", Value::Null, None),
    ] {
        let found = row(
            &session,
            &format!("SELECT $1::{wanted}::text"),
            std::slice::from_ref(&value),
        )
        .await;
        match (shown, found) {
            (Some(shown), Ok(columns)) => {
                let [ColumnValues::Scalars(series)] = columns.as_slice() else {
                    panic!("one column");
                };
                same(
                    &series.values,
                    &Values::Text(pack(&[shown.as_bytes()])),
                    wanted,
                );
            }
            (None, Ok(columns)) if matches!(value, Value::Null) => drop(columns),
            (None, Err(Fault::Parameter(1))) => {}
            (_, found) => panic!("{wanted} {value:?}: {found:?}"),
        }
    }
    let none = row(&session, "SELECT $1::int + $2::int", &[Value::Int32(1)]).await;
    assert_eq!(none.unwrap_err(), Fault::Parameter(2));
    let many = row(&session, "SELECT 1", &[Value::Int32(1)]).await;
    assert_eq!(many.unwrap_err(), Fault::Parameter(1));
    // The session is as good as before.
    assert!(row(&session, "SELECT 1", &[]).await.is_ok());
    session.close().await;
}

#[tokio::test]
async fn what_cannot_be_carried_is_named() {
    let postgres = Postgres::start(Options::default()).unwrap();
    let session = session(&postgres).await;
    for (list, number) in [
        ("1, point '(1,2)'", 2),
        ("'10.0.0.1'::inet", 1),
        ("1, 2, ARRAY[point '(1,2)']", 3),
        ("ROW(1, 2)", 1),
        ("ARRAY[[1, 2], [3, 4]]", 1),
    ] {
        let found = row(&session, &format!("SELECT {list}"), &[]).await;
        assert_eq!(found.unwrap_err(), Fault::Column(number), "{list}");
    }
    assert!(row(&session, "SELECT 1", &[]).await.is_ok());
    session.close().await;
}
