//! The test suites of the two languages, as their makers publish them: every
//! case comes out as it should, is beyond a bound of ours, or is named here.
//! `DAYBOOK_TEST_LANGUAGES` names the folder that has them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use models_rules::cel::{Cel, Refused};
use models_rules::path::Path;
use serde_json::{Value, json};

const FOLDER: &str = "DAYBOOK_TEST_LANGUAGES";

fn cases(file: &str) -> Option<Value> {
    let Some(folder) = std::env::var_os(FOLDER) else {
        let required = ["CI", "DAYBOOK_TEST_REQUIRE_SERVERS"].iter().any(|n| std::env::var_os(n).is_some());
        assert!(!required, "{FOLDER} is not set; `cargo xtask test` fetches the suites");
        eprintln!("skipped: {FOLDER} is not set");
        return None;
    };
    let text = std::fs::read_to_string(PathBuf::from(folder).join(file)).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn jsonpath_finds_what_the_suite_says() {
    let Some(suite) = cases("jsonpath.json") else { return };
    let (mut right, mut bounded, mut wrong) = (0, Vec::new(), Vec::new());
    for case in suite["tests"].as_array().unwrap() {
        let (name, selector) = (case["name"].as_str().unwrap(), case["selector"].as_str().unwrap());
        let found = match Path::compile(selector) {
            Ok(path) => json!(path.find(&case["document"])),
            Err(reason) if reason.starts_with("must ") || reason.starts_with("is nested") => {
                if case["invalid_selector"] != true {
                    bounded.push(name);
                    continue;
                }
                Value::Null
            }
            Err(_) => Value::Null,
        };
        let expected = match (&case["invalid_selector"], case["results"].as_array()) {
            (Value::Bool(true), _) => found.is_null(),
            (_, Some(any)) => any.contains(&found),
            (_, None) => case["result"] == found,
        };
        if expected { right += 1 } else { wrong.push(name) }
    }
    eprintln!("{right} right, {} beyond a bound, {} wrong: {wrong:#?}", bounded.len(), wrong.len());
    eprintln!("{bounded:#?}");
    assert_eq!(wrong, WRONG_PATHS);
    assert!(right >= PATHS && bounded.len() <= BOUNDED_PATHS, "{right} right, {bounded:#?}");
}

#[test]
fn cel_comes_to_what_the_suite_says() {
    let Some(suite) = cases("cel.json") else { return };
    let mut outside: BTreeMap<String, usize> = BTreeMap::new();
    let (mut right, mut wrong) = (0, Vec::new());
    for case in suite.as_array().unwrap() {
        let (name, text) = (case["name"].as_str().unwrap(), case["expr"].as_str().unwrap());
        let part = name.split('/').nth(1).unwrap();
        let expected = expected(case);
        let compiled = match Cel::compile(text) {
            Ok(compiled) => compiled,
            Err(Refused::Unsupported(_) | Refused::TooLarge(_)) => {
                *outside.entry(part.to_owned()).or_default() += 1;
                continue;
            }
            // Optional values, quoted names, and the macros of extensions.
            Err(Refused::Syntax(reason)) if EXTENSIONS.iter().any(|e| reason.starts_with(e)) => {
                *outside.entry(part.to_owned()).or_default() += 1;
                continue;
            }
            Err(Refused::Syntax(reason)) => {
                wrong.push(format!("{name}: {text}: {reason}"));
                continue;
            }
        };
        let came_to = compiled.evaluate(&json!({}));
        let same = match (&expected, &came_to) {
            (Expected::Value(value), Ok(found)) => value == found,
            (Expected::Fails, Err(_)) => true,
            (Expected::Other, _) => {
                *outside.entry(part.to_owned()).or_default() += 1;
                continue;
            }
            _ => false,
        };
        if same { right += 1 } else { wrong.push(format!("{name}: {text}: {came_to:?}")) }
    }
    eprintln!("{right} right, {} outside the subset, {} wrong", outside.values().sum::<usize>(), wrong.len());
    eprintln!("{outside:#?}\n{wrong:#?}");
    let names: Vec<&str> = wrong.iter().map(|w| w.split(": ").next().unwrap()).collect();
    assert_eq!(names, WRONG_CEL);
    assert!(right >= CEL, "{right} right");
}

enum Expected {
    Value(Value),
    Fails,
    /// Of a kind that the subset does not have.
    Other,
}

fn expected(case: &Value) -> Expected {
    if !case["evalError"].is_null() {
        return Expected::Fails;
    }
    if !case["typedResult"].is_null() || !case["checkOnly"].is_null() {
        return Expected::Other;
    }
    match case.get("value") {
        // As the suite has it: without a result it is true.
        None => Expected::Value(Value::Bool(true)),
        Some(value) => plain(value).map_or(Expected::Other, Expected::Value),
    }
}

fn plain(value: &Value) -> Option<Value> {
    let (kind, value) = value.as_object()?.iter().next()?;
    Some(match &**kind {
        "boolValue" | "stringValue" => value.clone(),
        "nullValue" => Value::Null,
        "int64Value" => json!(value.as_str()?.parse::<i64>().ok()?),
        "uint64Value" => json!(value.as_str()?.parse::<u64>().ok()?),
        "doubleValue" => json!(value.as_f64()?),
        "listValue" => match value.get("values") {
            Some(values) => values.as_array()?.iter().map(plain).collect::<Option<_>>()?,
            None => json!([]),
        },
        _ => return None,
    })
}

/// What the parser says of them.
const EXTENSIONS: [&str; 2] = ["unsupported syntax", "argument must be a simple name"];

/// Of 687 cases; those beyond a bound use `match` and `search`.
const PATHS: usize = 637;
const BOUNDED_PATHS: usize = 50;
const WRONG_PATHS: [&str; 0] = [];
/// Of 2,344 cases, most of which are about what the subset leaves out.
const CEL: usize = 541;
const WRONG_CEL: [&str; 0] = [];
