use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::envelope::Metadata;
use crate::{StreamId, TenantId};

fn recorded(event_type: &str, schema: u16, payload: &str) -> RecordedEvent {
    let tenant = TenantId::new("t").unwrap();
    RecordedEvent {
        position: 1,
        stream: StreamId::new(&tenant, "k", "i").unwrap(),
        version: 1,
        event_id: Uuid::nil(),
        event_type: event_type.into(),
        schema,
        occurred_at: None,
        recorded_at: jiff::Timestamp::UNIX_EPOCH,
        metadata: Metadata {
            actor: "test".into(),
            command_id: Uuid::nil(),
            correlation_id: "c".into(),
            causation_id: None,
        },
        payload: payload.into(),
        leaf: [0; 32],
    }
}

/// Decodes with the type that readers of this event type use; for what is
/// written today, encoding again must give the same JSON.
fn decodes(event: &RecordedEvent) -> Result<String, DecodeError> {
    fn again<E: DeserializeOwned + Serialize>(event: &RecordedEvent) -> Result<String, DecodeError> {
        let (known, payload) = encode(&decode::<E>(event)?)?;
        assert_eq!(known.name, &*event.event_type);
        Ok(payload)
    }
    let json = |v: Result<String, serde_json::Error>| v.unwrap();
    match event.event_type.split('.').next().unwrap() {
        "live_event" => again::<live_event::Event>(event),
        "band" if matches!(&*event.event_type, tap::TAPPED | tap::PREVIEWED) => {
            decode_payload::<tap::Tap>(event).map(|t| json(serde_json::to_string(&t)))
        }
        "band" => again::<band::Event>(event),
        "tenant" => again::<tenant::Event>(event),
        "api_key" => again::<api_key::Event>(event),
        "model" => again::<model_choice::Event>(event),
        "replay" => again::<replay::Event>(event),
        "rule" if &*event.event_type == rule_match::MATCHED => {
            decode_payload::<rule_match::RuleMatch>(event).map(|m| json(serde_json::to_string(&m)))
        }
        "rule" if &*event.event_type == anomaly_window::DETECTED => {
            decode_payload::<anomaly_window::Detected>(event).map(|d| json(serde_json::to_string(&d)))
        }
        "anomaly" => again::<anomaly_window::Event>(event),
        "reactions" if *event.event_type == *rule_match::TICKED => {
            decode_payload::<rule_match::Ticked>(event).map(|t| json(serde_json::to_string(&t)))
        }
        "reactions" => decode_payload::<rule_match::Advanced>(event).map(|a| json(serde_json::to_string(&a))),
        "rule" => again::<rule::Event>(event),
        "signal_schema" => again::<signal_schema::Event>(event),
        "sample" => again::<sample::Event>(event),
        "embedding" => again::<embedding::Event>(event),
        "language" => again::<language_use::Event>(event),
        "rewrite" => again::<rewrite::Event>(event),
        "webhook" => again::<endpoint::Event>(event),
        "delivery" => again::<delivery::Event>(event),
        "dispatcher" => decode_payload::<delivery::Place>(event).map(|p| json(serde_json::to_string(&p))),
        "style" => {
            decode_payload::<style_drift::DriftDetected>(event).map(|d| json(serde_json::to_string(&d)))
        }
        "log_key" => decode_payload::<audit_trail::LogKey>(event).map(|k| json(serde_json::to_string(&k))),
        "audit" => {
            fn same<T: DeserializeOwned + Serialize>(event: &RecordedEvent) -> Result<String, DecodeError> {
                decode_payload::<T>(event).map(|payload| serde_json::to_string(&payload).unwrap())
            }
            match &*event.event_type {
                audit_trail::READ => same::<audit_trail::Read>(event),
                audit_trail::DENIED => same::<audit_trail::Denied>(event),
                audit_trail::QUERIED => same::<audit_trail::Queried>(event),
                _ => same::<audit_trail::Exported>(event),
            }
        }
        "subject" => again::<subject::Event>(event),
        "signal" if &*event.event_type == signal::RECEIVED => {
            decode_payload::<signal::Signal>(event).map(|s| json(serde_json::to_string(&s)))
        }
        "signal" => decode_payload::<signal::Rejected>(event).map(|r| json(serde_json::to_string(&r))),
        "race" if &*event.event_type == live::OBSERVED => again::<live::Event>(event),
        "race" | "projection" => again::<race::Event>(event),
        "lineups" => again::<lineups::Event>(event),
        "driver" => again::<driver::Event>(event),
        "track" => again::<track::Event>(event),
        "scoring" => again::<scoring::Event>(event),
        "instrument" => again::<instrument::Event>(event),
        "position" => again::<position::Event>(event),
        "market_snapshot" => again::<market_snapshot::Event>(event),
        "market_name" => again::<market_name::Event>(event),
        "fixings" => again::<fixings::Event>(event),
        "position_snapshot" => again::<position_snapshot::Event>(event),
        "run" => again::<run::Event>(event),
        "repricing" => again::<repricing::Event>(event),
        "journal" => {
            decode_payload::<journal_cursor::Drained>(event).map(|d| json(serde_json::to_string(&d)))
        }
        other => panic!("no reader for {other}"),
    }
}

#[test]
fn every_sample_ever_written_decodes() {
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/samples")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (name, schema) = stem.rsplit_once('.').unwrap();
        let schema: u16 = schema.parse().unwrap();
        let payload = fs::read_to_string(&path).unwrap();
        let event = recorded(name, schema, payload.trim_end());
        let written = decodes(&event).unwrap_or_else(|e| panic!("{stem}: {e}"));
        if find(name).unwrap().schema == schema {
            let json = |t: &str| serde_json::from_str::<Value>(t).unwrap();
            assert_eq!(json(&written), json(&event.payload), "{stem}");
        }
        seen.insert((name.to_owned(), schema));
    }
    for known in EVENT_TYPES {
        for schema in 1..=known.schema {
            assert!(seen.contains(&(known.name.to_owned(), schema)), "no sample of {} {schema}", known.name);
        }
    }
}

#[test]
fn the_registry_is_complete() {
    assert_eq!(check(), Ok(()));
}

#[test]
fn a_tap_of_the_first_schema_is_one_of_the_second() {
    let first = recorded(tap::TAPPED, 1, r#"{"band_id":"b1","mode":"live","visitor":"v","source":"hub"}"#);
    assert_eq!(payload(&first).unwrap(), first.payload);
    assert_eq!(decode_payload::<tap::Tap>(&first).unwrap().visitor, Some("v".into()));
}

#[test]
fn a_tap_that_is_still_sealed_does_not_pass_for_one_without_an_agent() {
    let sealed =
        r#"{"band_id":"b1","mode":"live","source":"hub","personal":{"fields":[],"key":"","sealed":""}}"#;
    let error = decode_payload::<tap::Tap>(&recorded(tap::TAPPED, 2, sealed)).unwrap_err();
    assert!(matches!(error, DecodeError::Sealed(_)), "{error}");
    let quoted = r#"{"band_id":"b1","mode":"live","source":"\"personal\":{"}"#;
    decode_payload::<tap::Tap>(&recorded(tap::TAPPED, 2, quoted)).unwrap();
}

#[test]
fn what_this_build_does_not_know_is_an_error() {
    let unknown = recorded("band.eaten", 1, "{}");
    assert!(matches!(decode::<band::Event>(&unknown), Err(DecodeError::UnknownType(_))));
    let newer = recorded(band::RETIRED, 9, "{}");
    assert!(matches!(decode::<band::Event>(&newer), Err(DecodeError::NewerSchema { .. })));
}
