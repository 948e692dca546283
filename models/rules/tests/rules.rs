//! Conditions of the list form, and which rules an event concerns.
#![allow(clippy::unwrap_used)]

use domain::rule::{Condition, Definition, Operator};
use models_rules::{Compiled, Invalid, Outcome, RuleSet, Signal};
use serde_json::{Value, json};

fn condition(path: &str, operator: &str, value: Value) -> Condition {
    let operator: Operator = serde_json::from_value(json!(operator)).unwrap();
    Condition { path: path.into(), operator, value: Some(value) }
}

fn holds(path: &str, operator: &str, value: Value, body: &Value) -> bool {
    let definition = Definition { conditions: vec![condition(path, operator, value)], ..Default::default() };
    Compiled::new(&definition).unwrap().judge(body) == Outcome::Matches
}

#[test]
fn operators_compare_what_the_path_finds() {
    let body = json!({"n": 5, "f": 5.0, "zero": 0, "no": false, "text": "10", "name": "Ünal", "nothing": null,
        "tags": ["vip", "new"], "items": [{"p": 1}, {"p": 30}], "big": 9_007_199_254_740_993_u64});
    for (path, operator, value, expected) in [
        ("$.n", "eq", json!(5.0), true),
        ("$.f", "eq", json!(5), true),
        ("$.n", "eq", json!("5"), false),
        ("$.zero", "eq", json!(0), true),
        ("$.no", "eq", json!(false), true),
        ("$.nothing", "eq", json!(null), true),
        ("$.missing", "eq", json!(null), false),
        ("$.missing", "ne", json!(1), true),
        ("$.n", "ne", json!(5), false),
        ("$.big", "eq", json!(9_007_199_254_740_992_u64), false),
        ("$.n", "gt", json!(4), true),
        ("$.n", "gt", json!(5), false),
        ("$.n", "gte", json!(5), true),
        ("$.n", "lt", json!(5.5), true),
        ("$.n", "lte", json!(4), false),
        ("$.text", "gt", json!(9), true),
        ("$.text", "gt", json!("9"), false),
        ("$.name", "gt", json!(1), false),
        ("$.items[*].p", "gt", json!(20), true),
        ("$.items[?@.p > 20].p", "eq", json!(30), true),
        ("$.tags", "contains", json!("vip"), true),
        ("$.name", "contains", json!("na"), true),
        ("$.name", "starts_with", json!("Ü"), true),
        ("$.name", "ends_with", json!("al"), true),
        ("$.name", "regex", json!("^Ü.al$"), true),
        ("$.n", "regex", json!("5"), false),
        ("$.n", "in", json!([1, 5.0]), true),
        ("$.n", "in", json!([]), false),
        ("$.nothing", "exists", json!(true), true),
        ("$.missing", "exists", json!(true), false),
        ("$.missing", "exists", json!(false), true),
        ("$..p", "eq", json!(30), true),
    ] {
        assert_eq!(holds(path, operator, value.clone(), &body), expected, "{path} {operator} {value}");
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let refused = |path: &str, operator: &str, value: Value| -> Invalid {
        let definition =
            Definition { conditions: vec![condition(path, operator, value)], ..Default::default() };
        Compiled::new(&definition).map(|_| ()).unwrap_err()
    };
    for path in [
        "a.b",
        "$.",
        "$[",
        "$..a..b",
        "$[?@.a][?@.b][?@.c]",
        "$[?match(@.a, 'x')]",
        "$[?search(@.a, 'x')]",
        "$[0,0,0,0,0,0,0,0,0][0,0,0,0,0,0,0,0,0]",
    ] {
        assert_eq!(refused(path, "eq", json!(1)).pointer, "/conditions/0/path", "{path}");
    }
    let many = format!("$[{}]", vec!["0"; 10_000].join(","));
    assert_eq!(refused(&many, "eq", json!(1)).pointer, "/conditions/0/path");
    let deep = format!("$[?{}@.a{}]", "(".repeat(500), ")".repeat(500));
    assert_eq!(refused(&deep, "eq", json!(1)).pointer, "/conditions/0/path");
    for pattern in ["(", "(a{1000}){1000}", &"(".repeat(200)] {
        assert_eq!(refused("$.a", "regex", json!(pattern)).pointer, "/conditions/0/value", "{pattern}");
    }
    let cel = Definition { cel: Some("event.".into()), ..Default::default() };
    assert_eq!(Compiled::new(&cel).map(|_| ()).unwrap_err().pointer, "/cel");
}

fn rule(app: Option<&str>, category: Option<&str>, kind: Option<&str>, priority: i32) -> Definition {
    Definition {
        app: app.map(Into::into),
        category: category.map(Into::into),
        event_type: kind.map(Into::into),
        priority,
        ..Default::default()
    }
}

fn matching(set: &RuleSet, app: &str, category: &str, kind: &str, body: &Value) -> Vec<String> {
    let signal = Signal { app, category, event_type: kind, body };
    set.matching(&signal).into_iter().filter(|m| m.failed.is_none()).map(|m| m.rule.to_string()).collect()
}

#[test]
fn an_event_meets_the_rules_of_its_kind_by_priority() {
    let mut set = RuleSet::default();
    set.put("any", 1, &rule(None, None, None, 0)).unwrap();
    set.put("shop", 1, &rule(Some("shop"), None, None, 5)).unwrap();
    set.put("failed", 1, &rule(Some("shop"), Some("commerce"), Some("purchase_failed"), 9)).unwrap();
    set.put("taps", 1, &rule(None, None, Some("button_tap"), 0)).unwrap();
    let body = json!({});
    assert_eq!(matching(&set, "shop", "commerce", "purchase_failed", &body), ["failed", "shop", "any"]);
    assert_eq!(matching(&set, "shop", "interaction", "button_tap", &body), ["shop", "any", "taps"]);
    assert_eq!(matching(&set, "other", "", "new", &body), ["any"]);
    set.put("shop", 2, &rule(Some("blog"), None, None, 5)).unwrap();
    assert_eq!(matching(&set, "shop", "commerce", "purchase_failed", &body), ["failed", "any"]);
    assert_eq!(matching(&set, "blog", "", "", &body), ["shop", "any"]);
    set.remove("any");
    set.remove("any");
    assert_eq!(matching(&set, "other", "", "new", &body), [""; 0]);
    assert_eq!(set.len(), 3);
}

fn asked(set: &RuleSet, body: &Value) -> Vec<models_rules::Matched> {
    set.matching(&Signal { app: "", category: "", event_type: "", body })
}

#[test]
fn what_fails_is_told_and_does_not_match() {
    let mut set = RuleSet::default();
    let cel = Definition { cel: Some("event.total > 5".into()), ..Default::default() };
    set.put("r", 7, &cel).unwrap();
    let found = asked(&set, &json!({"total": 6}));
    assert_eq!((&*found[0].rule, found[0].version, &found[0].failed), ("r", 7, &None));
    let found = asked(&set, &json!({}));
    assert_eq!(found[0].failed.as_deref(), Some("there is no total"));
    assert!(asked(&set, &json!({"total": 5})).is_empty());
}

#[test]
fn a_rule_that_does_not_compile_leaves_the_old_one_in_force() {
    let mut set = RuleSet::default();
    set.put("r", 1, &rule(None, None, None, 0)).unwrap();
    let broken = Definition { cel: Some("(".into()), ..Default::default() };
    assert!(set.put("r", 2, &broken).is_err());
    assert_eq!(matching(&set, "", "", "", &json!({})), ["r"]);
}

#[test]
fn numbers_and_keys_of_a_series() {
    let anomaly = json!({"series": {"of": "value", "path": "$.v"}, "check": {"kind": "threshold", "max": 5.0}, "key": "$.device"});
    let definition =
        Definition { anomaly: Some(serde_json::from_value(anomaly).unwrap()), ..Default::default() };
    let compiled = Compiled::new(&definition).unwrap();
    let body = json!({"v": "1.5", "device": 7});
    assert_eq!((compiled.number(&body), compiled.key(&body)), (Some(1.5), Some("7".into())));
    assert_eq!((compiled.number(&json!({"v": "1e999"})), compiled.key(&json!({}))), (None, None));
}
