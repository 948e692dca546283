//! The documented subset of CEL, by what expressions come to.
#![allow(clippy::unwrap_used)]

use models_rules::cel::{Cel, Failed, Refused};
use serde_json::{Value, json};

fn event() -> Value {
    json!({
        "type": "purchase_failed", "count": 3, "big": 18_446_744_073_709_551_615_u64, "ratio": 0.5,
        "payload": {"total": 10_000, "currency": "EUR", "items": [{"id": "a", "n": 1}, {"id": "b", "n": 2}]},
        "tags": ["vip", "Ünal"], "none": null, "ok": true
    })
}

fn value(text: &str) -> Result<Value, Failed> {
    Cel::compile(text).unwrap_or_else(|e| panic!("{text}: {e}")).evaluate(&event())
}

#[test]
fn expressions_come_to_what_the_language_says() {
    for (text, expected) in [
        ("1 + 2 * 3 - 4 / 2 % 5", json!(5)),
        ("-7 / 2", json!(-3)),
        ("-7 % 3", json!(-1)),
        ("7u / 2u", json!(3)),
        ("0x10 + 1", json!(17)),
        ("1.5 + 1.5", json!(3.0)),
        ("'a' + \"b\"", json!("ab")),
        ("r'\\d' + 'x'", json!("\\dx")),
        ("[1, 2] + [3]", json!([1, 2, 3])),
        ("1 == 1.0 && 1u == 1 && 2.0 == 2u", json!(true)),
        ("1 == '1'", json!(false)),
        ("null == null", json!(true)),
        ("null == false", json!(false)),
        ("9223372036854775807 < 9223372036854775808.0", json!(true)),
        ("18446744073709551615u > 9223372036854775807", json!(true)),
        ("-1 < 0u", json!(true)),
        ("1.1 > 1", json!(true)),
        ("'a' < 'b' && 'B' < 'a'", json!(true)),
        ("false < true", json!(true)),
        ("[1, [2.0]] == [1.0, [2]]", json!(true)),
        ("true ? 1 : 1 / 0", json!(1)),
        ("false && 1 / 0 == 1", json!(false)),
        ("1 / 0 == 1 && false", json!(false)),
        ("1 / 0 == 1 || true", json!(true)),
        ("!true || !false", json!(true)),
        ("size('Ünal') + size([1, 2]) + 'ab'.size()", json!(8)),
        ("event.payload.total >= 10000 && event.payload.currency == 'EUR'", json!(true)),
        ("event['payload']['currency']", json!("EUR")),
        ("event.tags[0]", json!("vip")),
        ("event.tags[1.0]", json!("Ünal")),
        ("event.big == 18446744073709551615u", json!(true)),
        ("event.ratio * 2.0", json!(1.0)),
        ("has(event.payload.total) && !has(event.payload.tax)", json!(true)),
        ("has(event.none)", json!(true)),
        ("event.none == null", json!(true)),
        ("'vip' in event.tags && !('x' in event.tags) && 'total' in event.payload", json!(true)),
        (
            "event.type.startsWith('purchase') && event.type.endsWith('failed') && event.type.contains('_')",
            json!(true),
        ),
        ("event.type.matches('^p.*d$') && matches('abc', 'b')", json!(true)),
        ("event.payload.items.all(i, i.n > 0)", json!(true)),
        ("event.payload.items.exists(i, i.id == 'b')", json!(true)),
        ("event.payload.items.exists_one(i, i.n == 1)", json!(true)),
        ("event.payload.items.map(i, i.n * 2)", json!([2, 4])),
        ("event.payload.items.filter(i, i.n > 1).map(i, i.id)", json!(["b"])),
        ("event.payload.all(k, size(k) > 2)", json!(true)),
        ("[[1], [2, 3]].exists(l, l.exists(x, x == 3))", json!(true)),
        // One element decides, whatever is wrong with the others.
        ("[0, 1].exists(x, 1 / x == 1)", json!(true)),
        ("[0, 2].all(x, 4 / x == 1)", json!(false)),
        ("[].all(x, x > 1) && ![].exists(x, x > 1)", json!(true)),
        ("int('42') + int(1.9) + int(3u)", json!(46)),
        ("double('1.5') + double(1)", json!(2.5)),
        ("uint(3) == 3u", json!(true)),
        ("string(1) + string(true) + string(1.5)", json!("1true1.5")),
    ] {
        assert_eq!(value(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_has_no_answer_says_why() {
    for text in
        ["event.missing", "event.payload['tax']", "event.tags[2]", "event.tags[-1]", "event.payload[1]"]
    {
        assert!(matches!(value(text), Err(Failed::Missing(_))), "{text}: {:?}", value(text));
    }
    for text in [
        "1 + 1.0",
        "1 + '1'",
        "'a' < 1",
        "event.type.total",
        "!1",
        "-'a'",
        "1 && true",
        "5 in 5",
        "1u + 1",
        "size(1)",
        "has(event.type.x)",
        "1 ? 2 : 3",
        "-(1u)",
        "1.5 % 1.0",
    ] {
        assert!(matches!(value(text), Err(Failed::Types(..))), "{text}: {:?}", value(text));
    }
    for text in [
        "1 / 0",
        "1 % 0",
        "9223372036854775807 + 1",
        "-9223372036854775808 - 1",
        "0u - 1u",
        "int('x')",
        "int(1e30)",
        "uint(-1)",
        "-9223372036854775808 / -1",
        "5000000000 * 5000000000",
    ] {
        assert!(matches!(value(text), Err(Failed::Arithmetic(_))), "{text}: {:?}", value(text));
    }
    let not_a_condition = Cel::compile("event.count").unwrap();
    assert!(not_a_condition.holds(&event()).is_err());
}

#[test]
fn what_is_not_in_the_subset_is_refused_when_saved() {
    for text in [
        "b'bytes' == b'x'",
        "{'a': 1}.a == 1",
        "Thing{a: 1}",
        "timestamp('2020-01-01T00:00:00Z') < now",
        "type(1) == int",
        "signal.x == 1",
        "dyn(1) == 1",
        "event.type.lowerAscii() == 'x'",
        "duration('1s') > duration('2s')",
        "event.type.matches(event.pattern)",
        "x.all(i, i)",
    ] {
        let refused = Cel::compile(text).map(|_| ()).unwrap_err();
        assert!(matches!(refused, Refused::Unsupported(_)), "{text}: {refused:?}");
    }
    for text in
        ["", "1 +", "event..x", "(1", "1 = 1", "'open", "event.type.matches('(')", "a b", "=>", "\u{0}"]
    {
        let refused = Cel::compile(text).map(|_| ()).unwrap_err();
        assert!(matches!(refused, Refused::Syntax(_)), "{text}: {refused:?}");
    }
}

#[test]
fn what_is_too_large_is_refused_when_saved() {
    for text in [
        format!("{}1{}", "(".repeat(17), ")".repeat(17)),
        format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000)),
        format!("{}true", "!".repeat(300)),
        vec!["1"; 200].join(" + ") + &"+ 1".repeat(100),
        format!("event{}", ".a".repeat(2_000)),
        format!("event.type.matches('{}')", "(a{1000}){1000}"),
        "1 == 1".to_owned() + &" ".repeat(5_000),
        "event.a.all(x, event.b.all(y, event.c.all(z, x == y && y == z)))".into(),
        format!("true{}", " ? true : false".repeat(200)),
    ] {
        assert!(Cel::compile(&text).is_err(), "{}", &text[..40]);
    }
    // Just within the bounds, and evaluated without harm to the stack.
    let deep = format!("event{} == 1", ".a".repeat(250));
    assert!(Cel::compile(&deep).unwrap().holds(&event()).is_err());
    let sum = vec!["1"; 200].join(" + ");
    assert_eq!(value(&sum), Ok(json!(200)));
}

#[test]
fn an_expression_that_takes_too_long_ends() {
    let list: Vec<u32> = (0..3_000).collect();
    let event = json!({"list": list});
    let cel = Cel::compile("event.list.all(x, event.list.all(y, x + y >= 0))").unwrap();
    assert_eq!(cel.holds(&event), Err(Failed::Steps));
    let cel = Cel::compile("event.list.exists(x, x == 2000)").unwrap();
    assert_eq!(cel.holds(&event), Ok(true));
    let cel = Cel::compile("event.list.map(x, event) == event.list.map(x, event)").unwrap();
    assert_eq!(cel.holds(&event), Err(Failed::Steps));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_text_panics(text in r#"[ -~\n]{0,60}|([a-z0-9.()\[\]{}!&|?:+*/%<>='",-]|event|\.all\(x,|in|has\(){0,24}"#) {
        if let Ok(cel) = Cel::compile(&text) {
            let _ = cel.evaluate(&event());
        }
    }
}
