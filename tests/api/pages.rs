use axum::body::Body;
use axum::http::{Method, StatusCode};
use daybook_http::Kind;

use crate::api::app::{App, request};

#[tokio::test]
async fn every_problem_type_leads_to_its_page() {
    let app = App::new();
    for kind in Kind::ALL {
        let answer = app.get(&kind.type_uri()).await;
        assert_eq!(answer.json()["title"], kind.title());
        let html = request(Method::GET, &kind.type_uri()).header("accept", "text/html,*/*");
        let answer = app.send(html.body(Body::empty()).unwrap()).await;
        assert!(answer.header("content-type").starts_with("text/html"));
    }
    assert_eq!(app.get("/problems").await.json()["items"].as_array().unwrap().len(), Kind::ALL.len());
}

#[tokio::test]
async fn an_optional_part_does_not_make_the_server_unready() {
    let app = App::new();
    assert_eq!(app.get("/ready").await.json()["status"], "ready");
    let health = app.get("/health").await;
    assert_eq!((health.status, health.json()["status"].as_str().unwrap()), (StatusCode::OK, "degraded"));
    assert_eq!(health.json()["components"][1]["name"], "bus");
    assert_eq!(app.get("/metrics").await.body, b"taps_total 1\n");
    app.health.drain();
    let draining = app.get("/ready").await;
    assert_eq!(draining.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(draining.json()["status"], "draining");
    assert_eq!(app.get("/live").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_document_and_its_page_load_nothing_from_elsewhere() {
    let app = App::new();
    let document = app.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["components"]["schemas"]["Problem"].is_object());
    assert!(document["components"]["securitySchemes"]["key"].is_object());
    for path in ["/docs", "/docs/docs.js", "/docs/docs.css"] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.header("content-security-policy").contains("script-src 'self'"));
        let text = String::from_utf8(answer.body).unwrap();
        assert!(!text.contains("http://") && !text.contains("https://"), "{path}");
    }
}
