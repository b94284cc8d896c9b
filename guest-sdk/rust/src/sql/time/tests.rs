//! Dates and their texts.

use super::calendar::length;
use super::*;

#[test]
fn every_date_comes_back() {
    let (mut month, mut day, mut year) = (1_u8, 1_u8, -400_i32);
    let first = Date::new(year, month, day).unwrap().0;
    for number in first..first + 1_200_000 {
        assert_eq!(Date::new(year, month, day), Some(Date(number)));
        assert_eq!(Date(number).civil(), (year, month, day));
        day += 1;
        if day > length(year, month) {
            (month, day) = (month + 1, 1);
        }
        if month > 12 {
            (year, month) = (year + 1, 1);
        }
    }
    assert_eq!(Date::new(1970, 1, 1), Some(Date(0)));
    assert_eq!(Date::new(2026, 2, 29), None);
}

#[test]
fn texts_come_back() {
    for text in [
        "2026-10-05",
        "0001-01-01",
        "-0044-03-15",
        "12026-01-01",
        "infinity",
        "-infinity",
    ] {
        assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
    }
    for text in ["00:00:00", "23:59:59.999999", "14:30:00.5", "24:00:00"] {
        assert_eq!(text.parse::<Time>().unwrap().to_string(), text);
    }
    for text in [
        "2026-10-05T14:30:00",
        "1969-12-31T23:59:59.000001",
        "infinity",
    ] {
        assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
    }
    let moment = |text: &str| text.parse::<Timestamptz>().unwrap().to_string();
    assert_eq!(moment("2026-10-05T14:30:00Z"), "2026-10-05T14:30:00Z");
    assert_eq!(moment("2026-10-05 14:30:00+02:00"), "2026-10-05T12:30:00Z");
    assert_eq!(
        moment(
            "2026-10-05T14:30:00.25-0330"
                .replace("0330", "03:30")
                .as_str()
        ),
        "2026-10-05T18:00:00.25Z"
    );
    assert_eq!(moment("2026-10-05T14:30:00+02"), "2026-10-05T12:30:00Z");
}

#[test]
fn what_is_no_time_is_refused() {
    for bad in [
        "",
        "2026",
        "2026-1-05",
        "2026-13-01",
        "2026-02-30",
        "26-01-01",
        "2026-10-05x",
    ] {
        assert!(bad.parse::<Date>().is_err(), "{bad}");
    }
    for bad in [
        "",
        "1:00:00",
        "25:00:00",
        "24:00:01",
        "10:60:00",
        "10:00:00.",
        "10:00:00.1234567",
        "10:00",
    ] {
        assert!(bad.parse::<Time>().is_err(), "{bad}");
    }
    assert!("2026-10-05T14:30:00".parse::<Timestamptz>().is_err());
    assert!("2026-10-05T14:30:00Z".parse::<Timestamp>().is_err());
}

#[test]
fn intervals_read_well() {
    let shown = |months, days, microseconds| {
        Interval {
            months,
            days,
            microseconds,
        }
        .to_string()
    };
    assert_eq!(shown(0, 0, 0), "PT0S");
    assert_eq!(shown(14, -2, 3_500_000), "P14M-2DT3.5S");
    assert_eq!(shown(0, 0, -500_000), "PT-0.5S");
}

#[test]
fn json_holds_the_text() {
    let moment: Timestamptz = serde_json::from_str("\"1970-01-01T00:00:01Z\"").unwrap();
    assert_eq!(moment, Timestamptz(SECOND));
    assert_eq!(serde_json::from_str::<Date>("3").unwrap(), Date(3));
    assert_eq!(serde_json::to_string(&Date(0)).unwrap(), "\"1970-01-01\"");
}
