use domain::tap::{PERSONAL, TAPPED, Tap};
use proptest::prelude::*;
use serde_json::Value;
use zeroize::Zeroizing;

use super::*;

fn key(byte: u8) -> DataKey {
    DataKey { id: KeyId([byte; 12]), bytes: KeyBytes::new(Zeroizing::new([byte; 32])) }
}

const HERE: Place<'static> = Place {
    tenant: "acme",
    kind: "taps",
    stream: "journal-1",
    event_id: Uuid::from_u128(7),
    event_type: TAPPED,
};

fn sealed(payload: &str) -> String {
    Cut::of(payload, &PERSONAL).unwrap().unwrap().seal(&key(1), [9; NONCE_BYTES], &HERE)
}

fn opened(payload: &str, key: &DataKey, place: &Place<'_>) -> Result<String, Tampered> {
    let personal = Sealed::of(payload)?.expect("something is sealed").open(&key.bytes, place)?;
    restored(payload, &personal)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

const TAP: &str =
    r#"{"band_id":"b1","mode":"live","user_agent":"Agent \"x\" 1","visitor":"v-77","source":"hub"}"#;

#[test]
fn what_is_recorded_holds_no_personal_value_and_opens_again() {
    let recorded = sealed(TAP);
    assert!(recorded.starts_with(r#"{"band_id":"b1","mode":"live","source":"hub","personal":{"fields":["#));
    assert!(!recorded.contains("Agent") && !recorded.contains("v-77"), "{recorded}");
    let opened = opened(&recorded, &key(1), &HERE).unwrap();
    assert_eq!(json(&opened), json(TAP));
    let tap: Tap = serde_json::from_str(&opened).unwrap();
    assert_eq!(tap.user_agent, Some("Agent \"x\" 1".into()));
}

#[test]
fn without_its_key_each_field_that_was_there_reads_as_erased() {
    let recorded = sealed(r#"{"band_id":"b1","mode":"live","visitor":null,"user_agent":"A","source":"hub"}"#);
    let erased = Sealed::of(&recorded).unwrap().unwrap().erased();
    let tap: Tap = serde_json::from_str(&restored(&recorded, &erased).unwrap()).unwrap();
    assert_eq!(tap.user_agent, Some(domain::personal::PersonalText::Erased));
    assert_eq!(tap.visitor, None, "there was none");
}

#[test]
fn what_has_nothing_personal_stays_as_it_is() {
    for payload in [r#"{"band_id":"b1"}"#, r#"{"user_agent":null}"#, "{}", "[]", "7", "not json", ""] {
        assert!(Cut::of(payload, &PERSONAL).unwrap().is_none(), "{payload}");
        assert!(Sealed::of(payload).unwrap().is_none(), "{payload}");
    }
    let said = r#"{"band_id":"b1","url":"https://a.example/?q=personal"}"#;
    assert!(Sealed::of(said).unwrap().is_none());
}

#[test]
fn data_of_nobody_is_refused() {
    for payload in [
        r#"{"user_agent":"A"}"#,
        r#"{"user_agent":"A","band_id":null}"#,
        r#"{"user_agent":"A","band_id":7}"#,
        r#"{"user_agent":"A","band_id":"a b"}"#,
    ] {
        assert!(matches!(Cut::of(payload, &PERSONAL), Err(BadPayload::NoSubject { .. })), "{payload}");
    }
    let forged = r#"{"user_agent":"A","band_id":"b1","personal":{}}"#;
    assert_eq!(Cut::of(forged, &PERSONAL).unwrap_err(), BadPayload::Reserved);
}

#[test]
fn a_member_that_stands_elsewhere_opens_too_and_a_deeper_one_is_none() {
    let recorded = sealed(TAP);
    let moved = recorded
        .replace("\"source\":\"hub\",\"personal\":", "\"personal\":")
        .replace("}}", "},\"source\":\"hub\"}");
    assert_eq!(json(&moved), json(&recorded));
    assert_eq!(json(&opened(&moved, &key(1), &HERE).unwrap()), json(TAP));
    let (_, member) = as_written(&recorded).unwrap();
    let deeper = format!("{{\"a\":{{\"personal\":{member}}}}}");
    assert!(Sealed::of(&deeper).unwrap().is_none(), "{deeper}");
    let said = format!("{{\"url\":{}}}", serde_json::to_string(&recorded).unwrap());
    assert!(Sealed::of(&said).unwrap().is_none());
}

#[test]
fn a_name_in_escapes_is_sealed_too() {
    let recorded = sealed("{\"band_id\":\"b1\",\"\\u0075ser_agent\":\"Agent\"}");
    assert!(!recorded.contains("Agent"));
    assert_eq!(json(&opened(&recorded, &key(1), &HERE).unwrap())["user_agent"], "Agent");
}

#[test]
fn a_blob_opens_at_its_own_event_only() {
    let recorded = sealed(TAP);
    for (what, place) in [
        ("tenant", Place { tenant: "other", ..HERE }),
        ("kind", Place { kind: "band", ..HERE }),
        ("stream", Place { stream: "journal-2", ..HERE }),
        ("event", Place { event_id: Uuid::from_u128(8), ..HERE }),
        ("type", Place { event_type: domain::tap::PREVIEWED, ..HERE }),
    ] {
        assert!(opened(&recorded, &key(1), &place).is_err(), "{what}");
    }
    assert!(opened(&recorded, &key(2), &HERE).is_err(), "another key");
    let fewer = recorded.replace(r#"["user_agent","visitor"]"#, r#"["user_agent"]"#);
    assert!(opened(&fewer, &key(1), &HERE).is_err(), "other fields");
}

#[test]
fn a_sealed_member_in_another_form_is_an_error() {
    let id = "ab".repeat(12);
    for member in [
        "null".to_owned(),
        "{}".to_owned(),
        format!(r#"{{"fields":["a"],"key":"{id}"}}"#),
        format!(r#"{{"fields":["a"],"key":"{}","sealed":"AA"}}"#, "AB".repeat(12)),
        r#"{"fields":["a"],"key":"ab","sealed":"AA"}"#.to_owned(),
        format!(r#"{{"fields":"a","key":"{id}","sealed":"AA"}}"#),
        format!(r#"{{"fields":["a"],"key":"{id}","sealed":"AA","more":1}}"#),
    ] {
        assert!(Sealed::parse(&member).is_err(), "{member}");
    }
    for blob in ["", "AA", "A", "!!!!", &"A".repeat(37), &"A".repeat(38)] {
        let member = format!(r#"{{"fields":["a"],"key":"{id}","sealed":"{blob}"}}"#);
        assert!(Sealed::parse(&member).unwrap().open(&key(1).bytes, &HERE).is_err(), "{blob}");
    }
}

prop_compose! {
    fn payload()(
        band in "[a-z0-9:~-]{1,100}a",
        agent in proptest::option::of(any::<String>()),
        visitor in proptest::option::of("[0-9a-f]{32}"),
        url in any::<String>(),
        first in any::<bool>(),
    ) -> String {
        let mut members = vec![("url", Some(url)), ("band_id", Some(band)), ("user_agent", agent), ("visitor", visitor)];
        if first {
            members.reverse();
        }
        let mut out = String::from("{");
        for (name, value) in members {
            if let Some(value) = value {
                Name::Plain(name).put(&mut out, &serde_json::to_string(&value).unwrap());
            }
        }
        out.push('}');
        out
    }
}

proptest! {
    #[test]
    fn sealing_and_opening_gives_the_same_values(payload in payload(), nonce: [u8; NONCE_BYTES]) {
        match Cut::of(&payload, &PERSONAL).unwrap() {
            None => prop_assert!(json(&payload).get("user_agent").is_none() && json(&payload).get("visitor").is_none()),
            Some(cut) => {
                let recorded = cut.seal(&key(1), nonce, &HERE);
                prop_assert!(json(&recorded).get("user_agent").is_none());
                prop_assert!(json(&recorded).get("visitor").is_none());
                prop_assert_eq!(json(&opened(&recorded, &key(1), &HERE).unwrap()), json(&payload));
            }
        }
    }

    #[test]
    fn no_changed_byte_of_a_blob_opens(at in any::<prop::sample::Index>(), by in 1..64_u8) {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let recorded = sealed(TAP);
        let blob = Sealed::of(&recorded).unwrap().unwrap().sealed.into_owned();
        let mut changed = blob.clone().into_bytes();
        let place = at.index(changed.len());
        let digit = DIGITS.iter().position(|d| *d == changed[place]).unwrap();
        changed[place] = DIGITS[(digit + usize::from(by)) % 64];
        let changed = recorded.replace(&blob, std::str::from_utf8(&changed).unwrap());
        prop_assert!(opened(&changed, &key(1), &HERE).is_err());
    }

    #[test]
    fn nothing_that_comes_from_outside_panics(payload in any::<String>(), member in any::<String>()) {
        let _ = Cut::of(&payload, &PERSONAL);
        let _ = Sealed::of(&payload).map(|s| s.map(|s| s.open(&key(1).bytes, &HERE)));
        let _ = Sealed::of(&format!(r#"{{"personal":{member}}}"#));
        let _ = restored(&payload, &member);
    }
}
