use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode};
use futures::stream;
use proptest::prelude::*;

use crate::api::app::{App, request};

fn nested(depth: usize) -> String {
    format!(r#"{{"name":"a","any":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn bad_bodies_are_refused_by_name() {
    let app = App::new();
    let cases: Vec<(Vec<u8>, u16, &str, &str)> = vec![
        (b"{".to_vec(), 400, "invalid-json", "-"),
        (b"{\"name\":\"a\",}".to_vec(), 400, "invalid-json", "-"),
        (b"{\"name\":\"\xff\xfe\"}".to_vec(), 400, "invalid-json", "-"),
        (b"\xef\xbb\xbf{}".to_vec(), 400, "invalid-json", "-"),
        (b"{\"name\":\"a\0\"}".to_vec(), 400, "invalid-json", "-"),
        (b"{\"name\":\"a\\u0000\"}".to_vec(), 422, "invalid-field", "/name"),
        (b"{\"name\":\"a\",\"name\":\"b\"}".to_vec(), 400, "invalid-json", "/name"),
        (b"{\"name\":\"a\",\"any\":{\"b\":[{\"c\":1,\"c\":1}]}}".to_vec(), 400, "invalid-json", "/any/b/0/c"),
        (b"null".to_vec(), 422, "invalid-field", ""),
        (b"{\"name\":1}".to_vec(), 422, "invalid-field", "/name"),
        (b"{\"name\":\"a\",\"count\":-1}".to_vec(), 422, "invalid-field", "/count"),
        (b"{\"name\":\"a\",\"count\":1e300}".to_vec(), 422, "invalid-field", "/count"),
        (b"{\"name\":\"a\",\"tags\":[\"b\",1]}".to_vec(), 422, "invalid-field", "/tags/1"),
        (b"{\"count\":1}".to_vec(), 422, "invalid-field", "/name"),
        (b"{\"name\":\"a\",\"nmae\":1}".to_vec(), 422, "unknown-field", "/nmae"),
        (nested(1_000).into_bytes(), 422, "too-deep", ""),
        (vec![b'x'; 10 << 20], 413, "body-too-large", "-"),
        (Vec::new(), 422, "invalid-field", "/name"),
    ];
    for (body, status, slug, place) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let answer = app.post("/things/a", body).await;
        assert_eq!(answer.status.as_u16(), status, "{shown}");
        let (found_slug, found_place) = answer.fault();
        assert_eq!(found_slug, slug, "{shown}");
        if slug != "too-deep" {
            assert_eq!(found_place, place, "{shown}");
        }
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_cut_off_at_the_limit() {
    let app = App::new();
    let piece = Bytes::from(vec![b' '; 64 << 10]);
    let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
    let answer = app.post("/things/a", Body::from_stream(endless)).await;
    assert_eq!(answer.problem()["limit_bytes"], 1 << 20);
    let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err(std::io::Error::other("gone"))]);
    let answer = app.post("/things/a", Body::from_stream(broken)).await;
    assert_eq!(answer.fault().0, "invalid-json");
}

#[tokio::test]
async fn only_json_in_utf8_is_taken() {
    let app = App::new();
    let send = async |name: &str, value: &str| {
        let request = request(Method::POST, "/things/a").header(name, value);
        app.send(request.body(Body::from(r#"{"name":"a"}"#)).unwrap()).await
    };
    for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
    {
        assert_eq!(send("content-type", good).await.status, StatusCode::OK, "{good}");
    }
    for bad in ["text/plain", "application/json; charset=latin1", "application/jsonx", ""] {
        assert_eq!(send("content-type", bad).await.fault().0, "unsupported-media-type", "{bad}");
    }
    assert_eq!(send("x-none", "1").await.fault().0, "unsupported-media-type");
    let encoded = request(Method::POST, "/things/a")
        .header("content-type", "application/json")
        .header("content-encoding", "gzip");
    let answer = app.send(encoded.body(Body::from("{}")).unwrap()).await;
    assert_eq!(answer.fault().0, "unsupported-media-type");
}

#[tokio::test]
async fn a_command_without_fields_needs_no_body() {
    let app = App::new();
    let empty = request(Method::POST, "/empty").body(Body::empty()).unwrap();
    assert_eq!(app.send(empty).await.status, StatusCode::OK);
    assert_eq!(app.post("/empty", "{}").await.status, StatusCode::OK);
    assert_eq!(app.post("/empty", r#"{"a":1}"#).await.fault(), ("unknown-field".into(), "/a".into()));
}

#[tokio::test]
async fn bad_parameters_and_headers_are_refused_by_name() {
    let app = App::new();
    let long = "x".repeat(129);
    for (path, place) in [
        ("/things?limit=-1", "limit"),
        ("/things?limit=many", "limit"),
        ("/things?limit=1&limit=2", "limit"),
        ("/things?lmit=1", "lmit"),
        ("/things?after=a%2Fb", "after"),
        ("/things?after=%00", "after"),
        ("/things?after=%ff", "after"),
        (&format!("/things?after={long}"), "after"),
        (&format!("/things?{long}{long}{long}{long}{long}=1"), ""),
    ] {
        let (slug, found) = app.get(path).await.fault();
        assert_eq!(slug, "invalid-parameter", "{path}");
        assert!(found == place || place.is_empty(), "{path}: {found}");
    }
    for id in ["a%2Fb", "%00", "%ff", "a%20b", "%2e%2e", long.as_str(), "%C3%A4"] {
        let answer = app.post(&format!("/things/{id}"), r#"{"name":"a"}"#).await;
        assert_eq!(answer.fault(), ("invalid-parameter".into(), "id".into()), "{id}");
    }
    for (name, value) in [
        ("Idempotency-Key", ""),
        ("Idempotency-Key", "a b"),
        ("Idempotency-Key", "\"\""),
        ("Idempotency-Key", long.as_str()),
        ("X-Correlation-ID", "a b"),
        ("If-Match", "W/\"3\""),
        ("If-Match", "3"),
        ("If-Match", "\"3\", \"4\""),
        ("If-Match", "\"-3\""),
        ("If-Match", "\"99999999999999999999\""),
        ("If-None-Match", "\"3\""),
    ] {
        let request = request(Method::POST, "/things/a").header(name, value);
        let request = request.header("content-type", "application/json");
        let answer = app.send(request.body(Body::from(r#"{"name":"a"}"#)).unwrap()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name}: {value}");
        assert_eq!(answer.fault(), ("invalid-header".into(), name.into()), "{name}: {value}");
    }
}

#[tokio::test]
async fn good_headers_arrive() {
    let app = App::new();
    for (value, expected) in [("\"7\"", "Some(Exact(7))"), ("*", "Some(Exists)"), ("\"0\"", "Some(NoStream)")]
    {
        let request = request(Method::POST, "/things/a")
            .header("if-match", value)
            .header("idempotency-key", "\"k1\"")
            .header("x-correlation-id", "c-1")
            .header("content-type", "application/json");
        let answer = app.send(request.body(Body::from(r#"{"name":"a"}"#)).unwrap()).await;
        let body = answer.json();
        assert_eq!((body["expected"].as_str().unwrap(), &body["key"]), (expected, &"k1".into()));
        assert_eq!((&body["correlation"], answer.header("x-correlation-id")), (&"c-1".into(), "c-1"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_the_server_fail(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            "[\\[\\]{}:,\"\\\\0-9a-znu.eE+ -]{0,200}".prop_map(String::into_bytes),
        ],
        query in "[ -~]{0,40}",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let app = App::new();
            let answer = app.post("/things/a", body).await;
            assert!(answer.status.as_u16() < 500, "{}", answer.status);
            if !answer.status.is_success() {
                answer.problem();
            }
            if let Ok(uri) = format!("/things?{query}").parse::<axum::http::Uri>() {
                let request = request(Method::GET, "/").uri(uri).body(Body::empty()).unwrap();
                assert!(app.send(request).await.status.as_u16() < 500);
            }
        });
    }
}
