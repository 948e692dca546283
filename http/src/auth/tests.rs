use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use domain::api_key::{self, Role};
use domain::envelope::Metadata;
use domain::ports::clock::Clock;
use domain::{RecordedEvent, StreamId, TenantId, registry};
use jiff::{SignedDuration, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

use super::*;
use crate::problem::Kind;

struct Fixed(Timestamp);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn now() -> Timestamp {
    "2026-07-01T12:00:30Z".parse().unwrap()
}

fn tenant(id: &str) -> TenantId {
    TenantId::new(id).unwrap()
}

fn new_key() -> NewKey {
    NewKey::generate_with(&mut StdRng::seed_from_u64(7))
}

fn recorded(key: &str, event: &api_key::Event) -> RecordedEvent {
    let new = registry::new_event(event, Uuid::nil()).unwrap();
    RecordedEvent {
        position: 1,
        stream: StreamId::new(&tenant("t"), api_key::KIND, key).unwrap(),
        version: 1,
        event_id: new.event_id,
        event_type: new.event_type,
        schema: new.schema,
        occurred_at: None,
        recorded_at: now(),
        metadata: Metadata {
            actor: "cli:test".into(),
            command_id: Uuid::nil(),
            correlation_id: "c".into(),
            causation_id: None,
        },
        payload: new.payload,
        leaf: [0; 32],
    }
}

fn issue(ring: &KeyRing, key: &NewKey, expires_at: Option<Timestamp>) {
    let event = api_key::Event::Issued {
        name: "n".into(),
        roles: vec![Role::Writer],
        expires_at,
        app: None,
        secret_sha256: key.secret_sha256.clone(),
    };
    ring.apply(&recorded(&key.id, &event));
}

#[test]
fn an_issued_key_works_until_revoked() {
    let (ring, _used) = KeyRing::new(vec![]);
    let key = new_key();
    assert_eq!(ring.verify(key.text.reveal(), now()), None);
    issue(&ring, &key, None);
    let principal = ring.verify(key.text.reveal(), now()).unwrap();
    assert_eq!(principal, Principal::new(tenant("t"), &key.id, &[Role::Writer]));
    assert!(principal.require(Role::Writer).is_ok());
    assert_eq!(principal.require(Role::Admin).unwrap_err().kind(), Kind::Forbidden);

    let mut wrong = key.text.reveal().to_owned();
    wrong.pop();
    assert_eq!(ring.verify(&wrong, now()), None);

    ring.apply(&recorded(&key.id, &api_key::Event::Revoked {}));
    assert_eq!(ring.verify(key.text.reveal(), now()), None);
}

#[test]
fn an_expired_key_is_unknown_from_its_instant_on() {
    let (ring, _used) = KeyRing::new(vec![]);
    let key = new_key();
    issue(&ring, &key, Some(now()));
    assert_eq!(ring.verify(key.text.reveal(), now()), None);
    assert!(ring.verify(key.text.reveal(), now() - SignedDuration::from_micros(1)).is_some());
}

#[test]
fn use_is_told_once_an_hour() {
    let (ring, mut used) = KeyRing::new(vec![]);
    let key = new_key();
    issue(&ring, &key, None);
    for minutes in [0, 1, 59, 60, 61] {
        ring.verify(key.text.reveal(), now() + SignedDuration::from_mins(minutes)).unwrap();
    }
    let told: Vec<_> = std::iter::from_fn(|| used.try_recv().ok()).map(|u| u.at).collect();
    assert_eq!(told, [now(), now() + SignedDuration::from_hours(1)]);
}

#[test]
fn keys_of_the_environment_have_any_form() {
    let keys = parse_static("plain, dbk_odd_form ,other:acme:reader+writer", &tenant("default")).unwrap();
    let (ring, _used) = KeyRing::new(keys);
    let of = |text: &str| ring.verify(text, now());
    assert_eq!(of("plain"), Some(Principal::new(tenant("default"), "env-1", &[Role::Admin])));
    assert_eq!(of("dbk_odd_form"), Some(Principal::new(tenant("default"), "env-2", &[Role::Admin])));
    assert_eq!(of("other"), Some(Principal::new(tenant("acme"), "env-3", &[Role::Reader, Role::Writer])));
    assert_eq!(of("other:acme:reader+writer"), None);
    for bad in ["a:B", "a:b:chief", "a:b:reader:c", ":b", "a b"] {
        let error = parse_static(bad, &tenant("default")).unwrap_err();
        assert_eq!(error.number, 1, "{bad}");
    }
}

#[test]
fn secrets_do_not_print() {
    let key = new_key();
    let (_, secret) = super::key::split(key.text.reveal()).unwrap();
    assert!(!format!("{key:?}").contains(secret));
}

#[test]
fn an_address_that_guesses_waits_but_issued_keys_work() {
    let (ring, _used) = KeyRing::new(parse_static("weak", &tenant("default")).unwrap());
    let key = new_key();
    issue(&ring, &key, None);
    let auth = Authenticator::new(ring, Arc::new(Fixed(now())));
    let ask = |text: &str, address: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_str(text).unwrap());
        auth.check(&headers, address.parse().unwrap()).map_err(|p| p.kind())
    };
    for _ in 0..30 {
        assert_eq!(ask("guess", "2001:db8::1"), Err(Kind::Unauthenticated));
    }
    assert_eq!(ask("weak", "2001:db8::2"), Err(Kind::RateLimited));
    assert!(ask(key.text.reveal(), "2001:db8::1").is_ok());
    assert!(ask("weak", "2001:db8:0:1::1").is_ok());
}
