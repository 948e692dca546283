//! Another model of races: built over all past races beside the live one,
//! compared, promoted, taken back.

use std::fs;

use serde_json::{Value, json};

use super::dfs::Bed;

const NAME: &str = "dfs_projections";

/// A log with two seasons and the next race.
fn imported() -> Option<Bed> {
    let bed = Bed::new()?;
    let files = ["results.csv", "entries.csv"].map(|name| format!("{}/{name}", bed.path()));
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let reports = bed.lines(&[&["import", "nascar"][..], &files].concat());
    assert!(reports.iter().all(|report| report["refused"] == 0), "{reports:?}");
    Some(bed)
}

fn total<'a>(found: &'a Value, table: &str, field: &str) -> &'a Value {
    let named = |list: &'a Value, member: &str, name: &str| {
        let found = list.as_array().unwrap().iter().find(|x| x[member] == *name);
        found.unwrap_or_else(|| panic!("no {name} in {list}"))
    };
    &named(&named(&found["tables"], "table", table)["fields"], "field", field)["total"]
}

#[test]
fn a_model_is_set_built_compared_promoted_and_taken_back() {
    let Some(bed) = imported() else { return };
    let (cli, params) = (&bed.cli, format!("{}/params.json", bed.path()));
    fs::write(&params, r#"{"ridge": 0.1}"#).unwrap();
    let set = ["model", "set", NAME, "plackett-luce-back@1", "--params", &params];
    let refused = cli.refused(&set, 2);
    assert!(refused.contains("/ridge must be a number from 0.5 to 10000"), "{refused}");
    fs::write(&params, r#"{"driver_half_life": 2, "car_half_life": 2, "recent_half_life": 1, "runs": 300}"#)
        .unwrap();
    cli.json(&set, 0);
    // The first one, that nobody has built yet, is by the usual model.
    let first = cli.json(&["replay", "build", NAME], 0);
    assert_eq!(first["generation"]["status"], "ready", "{first}");
    let number = first["generation"]["generation"].to_string();

    let compared = cli.json(&["replay", "compare", NAME, &number, "--top", "500"], 4);
    for member in ["rho", "brier", "crps", "within_80"] {
        let total = total(&compared, "forecast_record", member);
        assert!(
            total["old"].is_f64() && total["new"].is_f64() && total["old"] != total["new"],
            "{member}: {total}"
        );
    }
    // Form that forgets after two races is worse where drivers stay who they are.
    let rho = total(&compared, "forecast_record", "rho");
    assert!(rho["new"].as_f64() < rho["old"].as_f64(), "{rho}");
    let rows = compared["rows"].as_array().unwrap();
    let moves = |row: &&Value| {
        row["table"] == "forecasts" && row["key"].as_str().unwrap().starts_with("cup-2019-21/")
    };
    assert!(rows.iter().any(|row| moves(&row)), "who moves in the next race");
    let facts = |table: &str| {
        let tables = compared["tables"].as_array().unwrap();
        let found = tables.iter().find(|t| t["table"] == *table).unwrap();
        (found["changed"].clone(), found["added"].clone(), found["removed"].clone())
    };
    for table in ["races", "starts", "cards"] {
        assert_eq!(facts(table), (json!(0), json!(0), json!(0)), "{table}");
    }

    let live = || cli.json(&["replay", "status", NAME], 0);
    cli.json(&["replay", "promote", NAME, &number], 0);
    assert_eq!(live()["live"].to_string(), number);
    assert_eq!(cli.json(&["replay", "verify", NAME], 0)["same"], true);
    cli.json(&["replay", "rollback", NAME], 0);
    assert_ne!(live()["live"].to_string(), number);
}

#[test]
fn a_race_is_drawn_under_parameters_as_it_is_sealed() {
    let Some(bed) = imported() else { return };
    let params = format!("{}/params.json", bed.path());
    fs::write(&params, r#"{"recent_half_life": 2, "runs": 300}"#).unwrap();
    let project = ["dfs", "project", "--runs", "500"];
    let usual = bed.lines(&project).pop().unwrap();
    let under = [&project[..], &["--params", &params]].concat();
    let other = bed.lines(&under).pop().unwrap();
    assert_eq!(usual["summary"]["model"], "plackett-luce-back@1");
    assert_eq!(other["summary"]["parameters"], json!({"recent_half_life": 2.0}));
    assert_ne!(other["summary"]["model"], usual["summary"]["model"]);
    fs::write(&params, r#"{"recent": 2}"#).unwrap();
    assert!(bed.cli.refused(&under, 1).contains("/recent is no parameter of plackett-luce-back@1"));
}
