use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode};
use daybook_http::layers::Cors;

use crate::api::app::{App, request};

#[tokio::test]
async fn every_error_is_a_problem() {
    let app = App::new();
    for (path, status, slug) in [
        ("/nowhere", 404, "not-found"),
        ("/refused/internal", 500, "internal"),
        ("/refused/field", 422, "invalid-field"),
        ("/refused/state", 409, "conflict"),
        ("/refused/other", 404, "not-found"),
        ("/panic", 500, "internal"),
        ("/problems/none", 404, "not-found"),
    ] {
        let answer = app.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.fault().0.as_str()), (status, slug), "{path}");
    }
}

#[tokio::test]
async fn what_went_wrong_inside_stays_inside() {
    let app = App::new();
    for path in ["/panic", "/refused/internal"] {
        let text = String::from_utf8(app.get(path).await.body).unwrap();
        assert!(!text.contains("secret") && !text.contains("10.1.2.3"), "{text}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = App::new();
    let answer = app.post("/things", "{}").await;
    assert_eq!(answer.fault().0, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD");
    let answer = app.get("/things/a").await;
    assert_eq!((answer.fault().0.as_str(), answer.header("allow")), ("method-not-allowed", "POST"));
    let odd = Method::from_bytes(b"BREW").unwrap();
    let answer = app.send(request(odd, "/things").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.fault().0, "method-not-allowed");
}

#[tokio::test]
async fn head_answers_like_get_without_a_body() {
    let app = App::new();
    for path in ["/things", "/nowhere", "/refused/state"] {
        let get = app.get(path).await;
        let head = app.send(request(Method::HEAD, path).body(Body::empty()).unwrap()).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert!(head.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn requests_are_named_and_traced() {
    let app = App::new();
    let made = app.get("/things").await;
    assert_eq!(made.header("x-request-id"), "00000000-0000-0000-0000-000000000001");
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let given = request(Method::GET, "/things").header("x-request-id", "r-1").header("traceparent", trace);
    let answer = app.send(given.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("x-request-id"), "r-1");
    assert!(answer.header("traceparent").starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert_ne!(answer.header("traceparent"), trace);
    let bad = request(Method::GET, "/things").header("x-request-id", "a b");
    let answer = app.send(bad.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("x-request-id"), "00000000-0000-0000-0000-000000000002");
}

#[tokio::test]
async fn answers_carry_security_headers() {
    let answer = App::new().get("/things").await;
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
}

#[tokio::test]
async fn browsers_of_listed_origins_may_call() {
    let origin = HeaderValue::from_static("https://a.example");
    let app = App::with(|c| c.cors = Cors::Origins(vec![origin]));
    let preflight = async |origin: &str| {
        let request = axum::http::Request::builder()
            .method(Method::OPTIONS)
            .uri("/things")
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        app.send(request.body(Body::empty()).unwrap()).await
    };
    let allowed = preflight("https://a.example").await;
    assert_eq!(allowed.status, StatusCode::OK);
    assert_eq!(allowed.header("access-control-allow-origin"), "https://a.example");
    assert!(allowed.header("access-control-allow-headers").contains("idempotency-key"));
    assert_eq!(preflight("https://b.example").await.header("access-control-allow-origin"), "");
    let answer = App::new();
    let plain = request(Method::GET, "/things").header("origin", "https://a.example");
    let answer = answer.send(plain.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}
