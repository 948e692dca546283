//! `POST /v1/sql`, without a port.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use daybook_http::Principal;
use daybook_http::auth::Role;
use domain::TenantId;
use http_body_util::BodyExt;
use infra_sql::Limits;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::bed::{Bed, engine};

const ARROW: &str = "application/vnd.apache.arrow.stream";

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

async fn app() -> Router {
    let bed = Bed::memory();
    bed.grow(30).await;
    let store = bed.sealed().await;
    bed.grow(30).await;
    read_api::routes::sql::router(Arc::new(engine(bed.sources(Some(&store)))))
}

async fn post(app: &Router, role: Role, accept: &str, body: Value) -> Answer {
    let request =
        Request::post("/v1/sql").header("content-type", "application/json").header("accept", accept);
    let mut request = request.body(Body::from(body.to_string())).unwrap();
    request.extensions_mut().insert(Principal::new(TenantId::new("acme").unwrap(), "test", &[role]));
    let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn ask(app: &Router, query: &str) -> Answer {
    post(app, Role::Auditor, "application/json", json!({"query": query})).await
}

#[tokio::test]
async fn an_auditor_gets_rows_and_their_position() {
    let app = app().await;
    let answer = ask(&app, "select count(*) n, max(position) last from events").await;
    assert_eq!(answer.status, 200);
    // Two of three facts are acme's.
    let columns = json!([{"name": "n", "type": "integer"}, {"name": "last", "type": "integer"}]);
    assert_eq!(
        answer.json(),
        json!({"position": 60, "columns": columns, "rows": [[40, 59]], "row_count": 1, "truncated": false})
    );
    assert_eq!((answer.header("daybook-position"), answer.header("daybook-truncated")), ("60", "false"));
    let body = json!({"query": "select position from events order by 1", "at": 31, "limit": 2});
    let csv = post(&app, Role::Admin, "text/csv", body.clone()).await;
    assert_eq!(String::from_utf8(csv.body.clone()).unwrap(), "position\r\n1\r\n2\r\n");
    assert_eq!((csv.header("daybook-position"), csv.header("daybook-truncated")), ("31", "true"));
    let arrow = post(&app, Role::Auditor, ARROW, body.clone()).await;
    assert_eq!(arrow.header("content-type"), ARROW);
    let batches = infra_sql::arrow::ipc::reader::StreamReader::try_new(arrow.body.as_slice(), None).unwrap();
    assert_eq!(batches.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
    assert_eq!(post(&app, Role::Auditor, "image/png", body).await.status, 406);
}

#[tokio::test]
async fn who_is_no_auditor_gets_nothing() {
    let app = app().await;
    for role in [Role::Reader, Role::Writer, Role::Operator] {
        let answer = post(&app, role, "*/*", json!({"query": "select 1"})).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["title"].as_str()),
            (403, Some("The key may not do this"))
        );
    }
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let app = app().await;
    let kind = async |body: Value| {
        let answer = post(&app, Role::Auditor, "*/*", body).await;
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
        let kind = answer.json()["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned();
        (answer.status.as_u16(), kind)
    };
    for text in [
        "insert into events select * from events",
        "create table t as select 1",
        "create external table t stored as csv location '/etc/passwd'",
        "create view v as select 1",
        "copy (select 1) to '/tmp/daybook-sql'",
        "set datafusion.catalog.information_schema = true",
        "show datafusion.execution.batch_size",
        "drop table events",
        "select 1; select 2",
        "select 1 into t",
        "explain analyze insert into events values (1)",
        "",
    ] {
        assert_eq!(kind(json!({"query": text})).await, (422, "query-not-allowed".to_owned()), "{text}");
    }
    for text in [
        "selec 1",
        "select * from nothing",
        "select nothing from events",
        "select nothing(1)",
        "select * from '/etc/passwd'",
        "select * from read_csv('/etc/passwd')",
        "select * from other.public.events",
        "select 1 / 0 from events",
        "select cast('x' as int)",
        "select json_text(payload, 'a') from events",
        "select struct(1, 2)",
        "with a as (delete from events returning 1) select * from a",
    ] {
        assert_eq!(kind(json!({"query": text})).await, (422, "invalid-query".to_owned()), "{text}");
    }
    let most = Limits::default().text_bytes;
    let select = "select 1";
    for (body, status, expected) in [
        (json!({"query": " ".repeat(most + 1)}), 422, "invalid-field"),
        (json!({"query": select, "limit": 0}), 422, "invalid-field"),
        (json!({"query": select, "limit": 100_001}), 422, "invalid-field"),
        (json!({"query": select, "at": 61}), 422, "invalid-field"),
        (json!({"query": select, "tenant": "other"}), 422, "unknown-field"),
        (json!({}), 422, "invalid-field"),
    ] {
        assert_eq!(kind(body).await, (status, expected.to_owned()));
    }
}

#[tokio::test]
async fn no_message_names_a_file_or_a_line_of_ours() {
    let app = app().await;
    for text in [
        "select * from nothing",
        "select * from '/etc/passwd'",
        "select 1 / 0 from events",
        "copy events to 'x'",
    ] {
        let body = ask(&app, text).await.json().to_string();
        for secret in ["src/", ".rs", "acktrace", "root:", "datafusion."] {
            assert!(!body.contains(secret), "{text}: {body}");
        }
    }
}
