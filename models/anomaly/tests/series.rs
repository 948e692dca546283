//! Plain series in the forms that people have them.
#![allow(clippy::unwrap_used)]

use models_anomaly::series::{Columns, SeriesError, parse, parse_columns};

#[test]
fn headers_separators_and_forms_of_instants() {
    let instant = 1_396_310_400_000_000;
    for text in [
        "timestamp,value\n2014-04-01 00:00:00,1.5\n",
        "2014-04-01T00:00:00Z,1.5",
        "\u{feff}time;reading\r\n2014-04-01 00:00;1.5\r\n\r\n",
        "datetime\tv\n2014-04-01\t1.5\n",
        "value,timestamp\n1.5,2014-04-01T02:00:00+02:00\n",
        "1396310400,1.5",
        "1396310400000,1.5",
        "1396310400000000,1.5",
        "\"ts\",\"value\"\n\"1396310400000000000\",\"1.5\"\n",
    ] {
        let series = parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!((series.points[0].at, series.points[0].value), (instant, 1.5), "{text:?}");
    }
}

#[test]
fn a_bad_row_is_named_by_its_line() {
    for (text, expected) in [
        ("timestamp,value\n2014-04-01,1\nyesterday,2\n", "line 3: \"yesterday\" is not an instant"),
        ("2014-04-01,1\n\n2014-04-02,1e999\n", "line 3: \"1e999\" is not a finite number"),
        ("2014-04-01,1\n2014-04-02,-inf\n", "line 2: \"-inf\" is not a finite number"),
        ("2014-04-01,1\n2014-04-02,\n", "line 2: \"\" is not a finite number"),
        ("2014-04-01,1\n2014-04-02\n", "line 2: there is no field 2"),
        ("timestamp,value\n", "there are no points"),
        ("", "there are no points"),
        ("2014-02-30,1\n", "line 1: \"2014-02-30\" is not an instant"),
    ] {
        assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text:?}");
    }
}

#[test]
fn missing_repeated_and_late_points_are_kept() {
    let series = parse("t,v\n10,1\n20,NaN\n20,2\n5,3\n").unwrap();
    assert_eq!(series.points.len(), 4);
    assert!(series.points[1].value.is_nan());
    assert_eq!(series.values[1], "NaN");
    assert_eq!(series.points[3].at, 5_000_000);
}

#[test]
fn columns_are_found_by_name() {
    let text = "datetime;Current;Pressure\n2020-02-08 17:27:19;2.4;0.05\n";
    let columns = Columns { time: None, value: Some("pressure".into()) };
    assert_eq!(parse_columns(text, &columns).unwrap().points[0].value, 0.05);
    let columns = Columns { time: None, value: Some("flow".into()) };
    assert_eq!(parse_columns(text, &columns).unwrap_err(), SeriesError::NoColumn("flow".into()));
}
