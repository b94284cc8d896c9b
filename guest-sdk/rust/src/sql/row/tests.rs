//! Rows into Rust.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::{Date, Interval, Time, Timestamp, Timestamptz};
use super::*;

/// A batch from columns of two rows each.
fn batch(columns: Vec<(&str, host::ColumnValues)>) -> (Vec<host::Column>, host::Batch) {
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let columns = names.into_iter().map(|name| host::Column {
        name: name.to_owned(),
        data_type: host::DataType::Text,
        is_array: false,
    });
    (
        columns.collect(),
        host::Batch {
            rows: 2,
            columns: values,
        },
    )
}

fn scalars(values: host::Values, nulls: &[bool]) -> host::ColumnValues {
    host::ColumnValues::Scalars(host::Series {
        values,
        nulls: nulls.to_vec(),
    })
}

fn packed(texts: &[&str]) -> host::Packed {
    let mut packed = host::Packed {
        data: Vec::new(),
        ends: Vec::new(),
    };
    for text in texts {
        packed.data.extend_from_slice(text.as_bytes());
        packed.ends.push(packed.data.len() as u32);
    }
    packed
}

fn rows<T: DeserializeOwned>(columns: Vec<(&str, host::ColumnValues)>) -> [Result<T, String>; 2] {
    let (columns, batch) = batch(columns);
    [0, 1].map(|index| {
        T::deserialize(Row::new(&columns, &batch, index)).map_err(|error| error.to_string())
    })
}

#[derive(Debug, Deserialize, PartialEq)]
struct Order {
    id: i64,
    customer: String,
    note: Option<String>,
    #[serde(default)]
    not_there: u8,
}

#[test]
fn a_row_is_a_struct() {
    let columns = || {
        vec![
            (
                "customer",
                scalars(host::Values::Text(packed(&["Ann", "Bo"])), &[]),
            ),
            ("id", scalars(host::Values::Int32(vec![7, 8]), &[])),
            (
                "note",
                scalars(host::Values::Text(packed(&["", "late"])), &[true, false]),
            ),
            (
                "unused",
                scalars(host::Values::Boolean(vec![true, false]), &[]),
            ),
        ]
    };
    let order = |id, customer: &str, note: Option<&str>| Order {
        id,
        customer: customer.to_owned(),
        note: note.map(str::to_owned),
        not_there: 0,
    };
    assert_eq!(
        rows(columns()),
        [Ok(order(7, "Ann", None)), Ok(order(8, "Bo", Some("late"))),]
    );
    assert_eq!(
        rows::<(String, u8, Option<String>, bool)>(columns())[1],
        Ok(("Bo".to_owned(), 8, Some("late".to_owned()), false))
    );
    assert_eq!(
        rows::<(String, u8)>(columns())[0],
        Err("the row has 4 columns, and 2 were asked for".to_owned())
    );
    assert_eq!(
        rows::<i64>(columns())[0],
        Err("the row has 4 columns, and one value was asked for".to_owned())
    );
}

#[test]
fn what_does_not_fit_names_its_column() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Small {
        id: u8,
    }
    let big = || {
        vec![(
            "id",
            scalars(host::Values::Int64(vec![300, 0]), &[false, true]),
        )]
    };
    let [first, second] = rows::<Small>(big());
    assert_eq!(
        first.unwrap_err(),
        "column `id`: invalid value: integer `300`, expected u8"
    );
    assert_eq!(
        second.unwrap_err(),
        "column `id`: invalid type: unit value, expected u8"
    );
    let [first, _] = rows::<Small>(vec![("ID", scalars(host::Values::Int64(vec![1, 1]), &[]))]);
    assert_eq!(first.unwrap_err(), "missing field `id`");
    let [first, _] = rows::<u8>(big());
    assert_eq!(
        first.unwrap_err(),
        "column `id`: invalid value: integer `300`, expected u8"
    );
}

fn value<T: DeserializeOwned>(values: host::Values) -> Result<T, String> {
    let [first, _] = rows(vec![("x", scalars(values, &[]))]);
    first
}

#[test]
fn one_column_is_one_value() {
    let count = rows::<u64>(vec![(
        "count",
        scalars(host::Values::Int64(vec![3, 4]), &[]),
    )]);
    assert_eq!(count, [Ok(3), Ok(4)]);
    let maximum = rows::<Option<i32>>(vec![(
        "max",
        scalars(host::Values::Int32(vec![3, 0]), &[false, true]),
    )]);
    assert_eq!(maximum, [Ok(Some(3)), Ok(None)]);
    assert_eq!(
        value::<String>(host::Values::Text(packed(&["a", "b"]))),
        Ok("a".to_owned())
    );
    assert_eq!(value::<f64>(host::Values::Float32(vec![1.5, 0.0])), Ok(1.5));
    assert_eq!(value::<f64>(host::Values::Int64(vec![2, 0])), Ok(2.0));
}

#[test]
fn numbers_in_digits_are_texts_or_numbers() {
    let numeric = |digits| host::Values::Numeric(packed(&[digits, ""]));
    assert_eq!(value::<String>(numeric("12.50")), Ok("12.50".to_owned()));
    assert_eq!(value::<f64>(numeric("12.50")), Ok(12.5));
    assert_eq!(value::<u64>(numeric("18446744073709551615")), Ok(u64::MAX));
    assert_eq!(
        value::<i128>(numeric("-170141183460469231731687303715884105728")),
        Ok(i128::MIN)
    );
    assert!(value::<i64>(numeric("12.50")).is_err());
    assert!(value::<f64>(numeric("NaN")).unwrap().is_nan());
}

#[test]
fn times_are_counts_or_texts() {
    let day = || host::Values::Date(vec![20_731, 0]);
    assert_eq!(value::<Date>(day()), Ok(Date(20_731)));
    assert_eq!(value::<i32>(day()), Ok(20_731));
    assert_eq!(value::<String>(day()), Ok("2026-10-05".to_owned()));
    let micros = vec![1_500_000, 0];
    assert_eq!(
        value::<Time>(host::Values::Time(micros.clone())),
        Ok(Time(1_500_000))
    );
    let stamp = host::Values::Timestamp(micros.clone());
    assert_eq!(value::<Timestamp>(stamp), Ok(Timestamp(1_500_000)));
    let moment = host::Values::Timestamptz(micros);
    assert_eq!(
        value::<Timestamptz>(moment.clone()),
        Ok(Timestamptz(1_500_000))
    );
    assert_eq!(
        value::<String>(moment),
        Ok("1970-01-01T00:00:01.5Z".to_owned())
    );
    let span = host::Values::Interval(vec![
        host::Interval {
            months: 1,
            days: 2,
            microseconds: 3
        };
        2
    ]);
    let interval = Interval {
        months: 1,
        days: 2,
        microseconds: 3,
    };
    assert_eq!(
        rows::<(Interval,)>(vec![("x", scalars(span.clone(), &[]))])[0],
        Ok((interval,))
    );
    assert_eq!(value::<String>(span), Ok("P1M2DT0.000003S".to_owned()));
}

#[test]
fn json_is_what_it_holds() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Item {
        sku: String,
    }
    let json = |text| {
        vec![(
            "x",
            scalars(host::Values::Json(packed(&[text, "null"])), &[]),
        )]
    };
    let item = || Item {
        sku: "a".to_owned(),
    };
    assert_eq!(rows::<(Item,)>(json(r#"{"sku":"a"}"#))[0], Ok((item(),)));
    assert_eq!(
        rows::<(Vec<Item>,)>(json(r#"[{"sku":"a"}]"#))[0],
        Ok((vec![item()],))
    );
    assert_eq!(rows::<String>(json("[1]"))[0], Ok("[1]".to_owned()));
    assert_eq!(
        rows::<(serde_json::Value,)>(json("[1]"))[0],
        Ok((serde_json::json!([1]),))
    );
    assert_eq!(rows::<(bool,)>(json("true"))[0], Ok((true,)));
    let error = rows::<(Item,)>(json("{}"))[0].as_ref().unwrap_err().clone();
    assert_eq!(error, "column `x`: missing field `sku` at line 1 column 2");
}

#[test]
fn bytes_enumerations_and_arrays() {
    let bytes = host::Values::Bytes(packed(&["ab", ""]));
    assert_eq!(
        rows::<(Vec<u8>,)>(vec![("x", scalars(bytes, &[]))])[0],
        Ok((b"ab".to_vec(),))
    );

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum State {
        Open,
        Paid,
    }
    let states = host::Values::Text(packed(&["open", "paid"]));
    assert_eq!(
        rows::<State>(vec![("s", scalars(states, &[]))]),
        [Ok(State::Open), Ok(State::Paid)]
    );

    let arrays = host::ColumnValues::Arrays(host::Arrays {
        elements: host::Series {
            values: host::Values::Int32(vec![1, 0, 3]),
            nulls: vec![false, true, false],
        },
        ends: vec![2, 3],
        nulls: Vec::new(),
    });
    assert_eq!(
        rows::<(Vec<Option<i32>>,)>(vec![("a", arrays)]),
        [Ok((vec![Some(1), None],)), Ok((vec![Some(3)],)),]
    );
    let nulls = host::ColumnValues::Arrays(host::Arrays {
        elements: host::Series {
            values: host::Values::Text(packed(&["x"])),
            nulls: Vec::new(),
        },
        ends: vec![0, 1],
        nulls: vec![true, false],
    });
    assert_eq!(
        rows::<(Option<Vec<String>>,)>(vec![("a", nulls)]),
        [Ok((None,)), Ok((Some(vec!["x".to_owned()]),)),]
    );
}

#[test]
fn a_host_that_breaks_the_contract_is_an_error() {
    let short = rows::<i64>(vec![("x", scalars(host::Values::Int64(vec![1]), &[]))]);
    assert_eq!(
        short[1],
        Err("column `x`: the host sent fewer values than rows".to_owned())
    );
    let wild = host::Packed {
        data: b"ab".to_vec(),
        ends: vec![9, 1],
    };
    let wild = rows::<String>(vec![("x", scalars(host::Values::Text(wild), &[]))]);
    assert!(wild.iter().all(Result::is_err));
}
