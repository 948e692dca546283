use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::cloud_event::{self, Apps, Members};
use super::{Fault, Format, Signal, app_event, stream_id};

const SHOP: Apps<'_> = Apps { bound: None, default: Some("shop") };

fn members(value: &Value) -> Members {
    serde_json::from_value::<BTreeMap<String, Value>>(value.clone())
        .unwrap()
        .into_iter()
        .map(|(name, value)| (name, serde_json::value::to_raw_value(&value).unwrap()))
        .collect()
}

fn cloud(value: Value) -> Result<Signal, Fault> {
    cloud_event::decode(members(&value), SHOP)
}

fn app(value: Value) -> Result<Signal, Fault> {
    app_event::decode(members(&value), SHOP, "fresh")
}

fn order() -> Value {
    json!({"specversion": "1.0", "id": "1", "source": "/orders", "type": "order.placed"})
}

fn with(mut value: Value, name: &str, member: Value) -> Value {
    value[name] = member;
    value
}

#[test]
fn a_cloud_event_comes_out_as_it_came_in() {
    let mut event = order();
    for (name, value) in [
        ("subject", json!("9")),
        ("time", json!("2026-07-01T19:00:00.123456789+02:00")),
        ("datacontenttype", json!("application/json")),
        ("dataschema", json!("urn:x:y")),
        ("comexample", json!("value")),
        ("sampledrate", json!(5)),
        ("urgent", json!(false)),
        ("data", json!({"n": 1.5, "list": [null, {}]})),
    ] {
        event[name] = value;
    }
    let signal = cloud(event.clone()).unwrap();
    assert_eq!(signal.occurred_at().unwrap().to_string(), "2026-07-01T17:00:00.123456Z");
    assert_eq!(serde_json::from_str::<Value>(&cloud_event::encode(&signal)).unwrap(), event);
}

#[test]
fn an_event_of_version_0_3_keeps_the_names_of_its_attributes() {
    let event = json!({
        "specversion": "0.3", "id": "1", "source": "/orders", "type": "order.placed",
        "schemaurl": "/schemas/1", "datacontentencoding": "base64", "data": "Zm9v",
    });
    let signal = cloud(event.clone()).unwrap();
    assert_eq!((signal.format, signal.data_base64.as_deref()), (Format::CloudEvents03, Some("Zm9v")));
    assert_eq!(serde_json::from_str::<Value>(&cloud_event::encode(&signal)).unwrap(), event);
}

#[test]
fn what_is_no_cloud_event_says_which_member_is_wrong() {
    let cases = [
        ("specversion", json!("2.0"), "/specversion"),
        ("specversion", json!(1.0), "/specversion"),
        ("id", json!(""), "/id"),
        ("id", json!(null), "/id"),
        ("source", json!("not a uri"), "/source"),
        ("source", json!("/a%2"), "/source"),
        ("type", json!({}), "/type"),
        ("subject", json!(""), "/subject"),
        ("time", json!("yesterday"), "/time"),
        ("time", json!("2026-07-01T19:00:00"), "/time"),
        ("datacontenttype", json!("json"), "/datacontenttype"),
        ("dataschema", json!("/relative"), "/dataschema"),
        ("Upper", json!("x"), "/Upper"),
        ("list", json!([1]), "/list"),
        ("fraction", json!(1.5), "/fraction"),
        ("big", json!(1_u64 << 40), "/big"),
        ("data_base64", json!("§"), "/data_base64"),
        ("appid", json!("a b"), "/appid"),
    ];
    for (name, value, pointer) in cases {
        let fault = cloud(with(order(), name, value.clone())).unwrap_err();
        assert_eq!(fault.pointer, pointer, "{name}: {value} gave {fault}");
    }
    let both = with(with(order(), "data", json!(1)), "data_base64", json!("Zm9v"));
    assert_eq!(cloud(both).unwrap_err().pointer, "/data_base64");
}

#[test]
fn a_key_of_an_app_speaks_for_no_other() {
    let apps = Apps { bound: Some("shop"), default: None };
    let decode = |event: &Value| cloud_event::decode(members(event), apps);
    assert_eq!(decode(&order()).unwrap().app, "shop");
    assert_eq!(decode(&with(order(), "appid", json!("shop"))).unwrap().app, "shop");
    assert_eq!(decode(&with(order(), "appid", json!("bank"))).unwrap_err().pointer, "/appid");
    let nobody = cloud_event::decode(members(&order()), Apps::default());
    assert!(nobody.unwrap_err().reason.starts_with("is missing"));
}

#[test]
fn a_typed_event_reads_in_both_cases_the_same() {
    let camel = json!({
        "appId": "web", "deviceId": "d 1", "timestampMs": "1751389200250", "idempotencyKey": "k",
        "deviceContext": {"osVersion": "19", "isEmulator": false},
        "purchaseComplete": {"orderId": "9", "totalCents": 0, "items": [{"productId": "p", "params": {"aB": 1}}]},
    });
    let snake = json!({
        "app_id": "web", "device_id": "d 1", "timestamp_ms": 1_751_389_200_250_u64, "idempotency_key": "k",
        "device_context": {"os_version": "19", "is_emulator": false},
        "purchase_complete": {"order_id": "9", "total_cents": 0, "items": [{"product_id": "p", "params": {"aB": 1}}]},
    });
    let (camel, snake) = (app(camel).unwrap(), app(snake).unwrap());
    assert_eq!(serde_json::to_string(&camel).unwrap(), serde_json::to_string(&snake).unwrap());
    assert_eq!(
        (camel.app.as_str(), camel.source.as_str(), camel.id.as_str()),
        ("web", "/devices/d%201", "k")
    );
    assert_eq!(
        (camel.signal_type.as_str(), camel.category.as_deref()),
        ("purchase_complete", Some("commerce"))
    );
    assert_eq!(camel.time.as_deref(), Some("2025-07-01T17:00:00.25Z"));
    // What is zero or false stays: a rule may ask for it.
    let data = camel.data.unwrap().get().to_owned();
    assert!(data.contains(r#""total_cents":0"#) && data.contains(r#""params":{"aB":1}"#), "{data}");
}

#[test]
fn every_typed_body_is_known_and_a_custom_one_has_the_apps_name() {
    assert_eq!(app_event::TYPES.len(), 28);
    for (name, category) in app_event::TYPES {
        let signal = app(json!({ *name: {} })).unwrap();
        assert_eq!((signal.signal_type.as_str(), signal.category.as_deref()), (*name, Some(*category)));
    }
    let custom = app(json!({"custom": {"eventName": "level_up", "intParams": {"newLevel": 3}}})).unwrap();
    assert_eq!((custom.signal_type.as_str(), custom.category.as_deref()), ("level_up", Some("custom")));
    assert!(custom.data.unwrap().get().contains(r#""int_params":{"newLevel":3}"#));
    assert_eq!((custom.id.as_str(), custom.source.as_str(), custom.time), ("fresh", "/apps/shop", None));
}

#[test]
fn what_is_no_typed_event_says_which_member_is_wrong() {
    let cases = [
        (json!({}), ""),
        (json!({"screenView": {}, "buttonTap": {}}), "/screenView"),
        (json!({"screenView": []}), "/screenView"),
        (json!({"dance": {}}), "/dance"),
        (json!({"screenView": {}, "timestampMs": 9_223_372_036_854_775_808_u64}), "/timestampMs"),
        (json!({"screenView": {}, "timestampMs": 0}), "/timestampMs"),
        (json!({"screenView": {}, "timestampMs": -5}), "/timestampMs"),
        (json!({"screenView": {}, "timestamp": "soon"}), "/timestamp"),
        (json!({"screenView": {}, "deviceId": 7}), "/deviceId"),
        (json!({"screenView": {}, "deviceId": "d", "device_id": "d"}), "/device_id"),
        (json!({"custom": {}}), "/custom/eventName"),
        (json!({"screenView": {}, "deviceContext": 1}), "/deviceContext"),
    ];
    for (event, pointer) in cases {
        let fault = app(event.clone()).unwrap_err();
        assert_eq!(fault.pointer, pointer, "{event} gave {fault}");
    }
}

#[test]
fn far_dates_are_kept() {
    for (millis, year) in [(1, "1970-01-01T00:00:00.001Z"), (10_413_792_000_000_i64, "2300-01-01T00:00:00Z")]
    {
        let signal = app(json!({"screenView": {}, "timestampMs": millis})).unwrap();
        assert_eq!(signal.occurred_at().unwrap().to_string(), year);
    }
}

#[test]
fn data_of_the_binary_mode_is_kept_by_its_type() {
    let read = |media_type: Option<&str>, body: &[u8]| {
        let mut members = members(&order());
        cloud_event::binary_data(&mut members, media_type, body)?;
        cloud_event::decode(members, SHOP)
    };
    let json = read(Some("application/vnd.x+json; charset=utf-8"), b" {\"a\": 1.50}\n").unwrap();
    assert_eq!(json.data.unwrap().get(), "{\"a\": 1.50}");
    let text = read(Some("text/plain"), "Zürich".as_bytes()).unwrap();
    assert_eq!(text.data.unwrap().get(), "\"Zürich\"");
    let bytes = read(Some("image/png"), &[0, 255]).unwrap();
    assert_eq!((bytes.data.is_none(), bytes.data_base64.as_deref()), (true, Some("AP8=")));
    assert!(read(Some("text/plain"), &[b'a', 255]).unwrap().data_base64.is_some());
    assert_eq!(read(Some("application/json"), b"{").unwrap_err().pointer, "/data");
}

proptest! {
    #[test]
    fn two_identities_have_two_streams(a in any::<[String; 3]>(), b in any::<[String; 3]>()) {
        let id = |x: &[String; 3]| stream_id(&x[0], &x[1], &x[2]);
        prop_assert_eq!(a == b, id(&a) == id(&b));
    }

    #[test]
    fn any_members_are_read_or_refused(value in json_object()) {
        let read = [cloud(value.clone()), app(value.clone()), cloud(merged(order(), &value))];
        for signal in read.into_iter().flatten() {
            let text = serde_json::to_string(&signal).unwrap();
            let again: Signal = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::to_string(&again).unwrap(), text);
            serde_json::from_str::<Value>(&cloud_event::encode(&signal)).unwrap();
        }
    }
}

fn merged(mut event: Value, other: &Value) -> Value {
    for (name, value) in other.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn json_object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("2026-07-01T19:00:00Z")),
    ];
    let value = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|m| json!(m)),
        ]
    });
    let name = prop_oneof![
        Just("id"),
        Just("time"),
        Just("data"),
        Just("data_base64"),
        Just("subject"),
        Just("appid"),
        Just("appId"),
        Just("timestampMs"),
        Just("screenView"),
        Just("custom"),
        Just("deviceContext"),
        Just("specversion"),
        Just("x1"),
    ];
    prop::collection::btree_map(name.prop_map(str::to_owned), value, 0..6).prop_map(|m| json!(m))
}

#[test]
fn nobody_sends_in_daybooks_own_name() {
    let own = Apps { bound: None, default: Some(super::OWN_APP) };
    let named = with(order(), "appid", json!(super::OWN_APP));
    for fault in [
        cloud(named).unwrap_err(),
        cloud_event::decode(members(&order()), own).unwrap_err(),
        app_event::decode(members(&json!({"appStart": {}})), own, "fresh").unwrap_err(),
        app(json!({"appStart": {}, "appId": super::OWN_APP})).unwrap_err(),
    ] {
        assert!(fault.reason.contains("Daybook's own"), "{fault}");
    }
    assert!(cloud(with(order(), "appid", json!("daybook2"))).is_ok());
}
