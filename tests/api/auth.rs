use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use daybook_http::auth::{NewKey, Role, follow};
use domain::decide::{Context, Decide, stream_of};
use domain::envelope::Metadata;
use domain::ports::log::{Append, EventLog, ExpectedVersion, StreamWrite};
use domain::{TenantId, api_key, registry};
use uuid::Uuid;

use crate::api::app::{App, KEY, READER};

fn with_header(name: &str, value: &str) -> Request<Body> {
    Request::builder().uri("/things").header(name, value).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn missing_unknown_and_malformed_keys_are_answered_alike() {
    let app = App::new();
    let mut answers = Vec::new();
    for request in [
        Request::builder().uri("/things").body(Body::empty()).unwrap(),
        with_header("x-api-key", "wrong"),
        with_header("x-api-key", ""),
        with_header("x-api-key", "dbk_0123456789abcdef_00"),
        with_header("x-api-key", &"x".repeat(10_000)),
        with_header("authorization", "Basic b3BlcmF0b3Ita2V5"),
        with_header("authorization", "Bearer wrong"),
    ] {
        let answer = app.send(request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.header("www-authenticate").starts_with("Bearer "));
        let mut problem = answer.problem();
        problem.as_object_mut().unwrap().remove("request_id");
        answers.push(problem);
    }
    assert!(answers.iter().all(|a| *a == answers[0]));
}

#[tokio::test]
async fn the_tenant_and_the_roles_come_from_the_key() {
    let app = App::new();
    let answer = app.send(with_header("x-api-key", READER)).await;
    assert_eq!(answer.json()["tenant"], "acme");
    let answer = app.send(with_header("authorization", &format!("bearer {KEY}"))).await;
    assert_eq!(answer.json()["tenant"], "default");
}

#[tokio::test]
async fn addresses_that_do_not_exist_need_no_key() {
    let app = App::new();
    let answer = app.send(Request::builder().uri("/nowhere").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.fault().0, "not-found");
}

/// Records what the key's aggregate decides.
async fn command(app: &App, id: &str, state: &mut api_key::ApiKey, command: api_key::Command) -> u64 {
    let tenant = TenantId::new("acme").unwrap();
    let context = Context { now: "2026-07-01T12:00:00Z".parse().unwrap(), urls: Default::default() };
    let decided = state.decide(command, &context).unwrap().events;
    let events = decided.iter().map(|e| registry::new_event(e, Uuid::new_v4()).unwrap()).collect();
    decided.into_iter().for_each(|e| state.evolve(e));
    let stream = stream_of::<api_key::ApiKey>(&tenant, id).unwrap();
    let metadata = Metadata {
        actor: "cli:test".into(),
        command_id: Uuid::new_v4(),
        correlation_id: "c".into(),
        causation_id: None,
    };
    let write = StreamWrite { stream, expected: ExpectedVersion::Any, events };
    let append = Append { writes: vec![write], metadata, idempotency: None };
    app.log.append(vec![append]).await.remove(0).unwrap().position()
}

#[tokio::test]
async fn a_key_of_the_log_works_from_its_position_until_its_revocation() {
    let mut app = App::new();
    let log: Arc<dyn EventLog> = app.log.clone();
    let follower = tokio::spawn(follow(app.ring.clone(), log));
    let key = NewKey::generate();
    let mut state = api_key::ApiKey::default();
    let ask = async |app: &App| {
        let answer = app.send(with_header("x-api-key", key.text.reveal())).await;
        answer.status.as_u16()
    };
    assert_eq!(ask(&app).await, 401);

    let issue = api_key::Command::Issue {
        name: "turnstile".into(),
        roles: vec![Role::Reader],
        expires_at: None,
        app: None,
        secret_sha256: key.secret_sha256.clone(),
    };
    let position = command(&app, &key.id, &mut state, issue).await;
    app.ring.reached(position).await;
    assert_eq!(ask(&app).await, 200);
    let used = app.used.try_recv().unwrap();
    assert_eq!((used.tenant.as_str(), used.key_id.as_ref()), ("acme", key.id.as_str()));

    let position = command(&app, &key.id, &mut state, api_key::Command::Revoke).await;
    app.ring.reached(position).await;
    assert_eq!(ask(&app).await, 401);
    follower.abort();
}

#[tokio::test]
async fn guessing_is_throttled() {
    let app = App::new();
    for _ in 0..30 {
        assert_eq!(app.send(with_header("x-api-key", "guess")).await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = app.send(with_header("x-api-key", KEY)).await;
    assert_eq!(answer.fault().0, "rate-limited");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(Duration::from_secs(wait) <= Duration::from_secs(60));
    app.clock.set("2026-07-01T12:01:00Z".parse().unwrap());
    assert_eq!(app.send(with_header("x-api-key", KEY)).await.status, StatusCode::OK);
    let without = Request::builder().method(Method::GET).uri("/things").body(Body::empty()).unwrap();
    assert_eq!(app.send(without).await.status, StatusCode::UNAUTHORIZED);
}
