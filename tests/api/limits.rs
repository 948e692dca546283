use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use daybook_http::limits::{Rate, RateLimits};
use futures::FutureExt;

use crate::api::app::{App, READER};

#[tokio::test]
async fn each_key_has_a_bucket_of_its_own() {
    // A refill in 1 s: what a burst takes does not come back while it lasts.
    let app = App::with(|c| c.rates = RateLimits::new(Rate::new(1, 5), None));
    let started = std::time::Instant::now();
    let mut answered = 0;
    let refused = loop {
        let answer = app.get("/things").await;
        assert_eq!(answer.header("ratelimit-policy"), "\"key\";q=5;w=5");
        if answer.status != StatusCode::OK {
            break answer;
        }
        assert!(answer.header("ratelimit").starts_with("\"key\";r="));
        answered += 1;
    };
    let refilled = started.elapsed().as_secs() as usize;
    assert!((5..=5 + refilled).contains(&answered), "{answered}");
    assert_eq!(refused.fault().0, "rate-limited");
    assert_eq!(refused.header("ratelimit"), "\"key\";r=0;t=5");
    assert!((1..=2).contains(&refused.header("retry-after").parse::<u32>().unwrap()));

    let other = Request::builder().uri("/things").header("x-api-key", READER).body(Body::empty()).unwrap();
    assert_eq!(app.send(other).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_whole_server_has_a_limit_that_health_is_free_of() {
    let app = App::with(|c| c.rates = RateLimits::new(Rate::new(1_000, 2_000), Rate::new(1, 0)));
    let first = app.get("/things").await;
    assert_eq!(first.header("ratelimit-policy"), "\"key\";q=2000;w=2");
    let second = app.get("/nowhere").await;
    assert_eq!(second.fault().0, "rate-limited");
    assert_eq!(second.header("ratelimit-policy"), "\"global\";q=1;w=1");
    assert_eq!(app.get("/live").await.status, StatusCode::OK);
}

#[tokio::test]
async fn too_many_at_once_are_refused_and_a_place_is_given_back() {
    let app = App::with(|c| c.concurrency = 1);
    let mut waiting = Box::pin(app.get("/never"));
    assert!(waiting.as_mut().now_or_never().is_none());
    let answer = app.get("/things").await;
    assert_eq!(answer.fault().0, "overloaded");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(app.get("/ready").await.status, StatusCode::OK);
    drop(waiting);
    assert_eq!(app.get("/things").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_answer_that_does_not_begin_is_given_up() {
    let app = App::with(|c| c.timeout = Duration::from_millis(10));
    assert_eq!(app.get("/never").await.fault().0, "request-timeout");
}
