//! A receiver of webhooks in the test's own process.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::any;
use serde_json::Value;

/// One request.
#[derive(Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: String,
    pub at: Instant,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// How a path answers.
#[derive(Clone)]
pub enum Answer {
    Status(u16),
    /// So many requests with this status, those after them with 204.
    First(usize, u16),
    /// With a header.
    With(u16, &'static str, String),
    /// So many bytes.
    Bytes(usize),
    /// The request as it came, headers too.
    Echo,
    Hangs,
}

#[derive(Clone, Default)]
pub struct Sink {
    received: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    pub url: String,
}

impl Sink {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sink = Self { url, ..Self::default() };
        let router = Router::new().route("/{path}", any(receive)).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        sink
    }

    pub fn answer(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub fn received(&self, path: &str) -> Vec<Received> {
        self.received.lock().unwrap().iter().filter(|r| r.path == path).cloned().collect()
    }

    /// What the path has received, once it is so many.
    pub async fn wait(&self, path: &str, count: usize) -> Vec<Received> {
        until(|| async { Some(self.received(path)).filter(|all| all.len() >= count) }).await
    }
}

async fn receive(
    State(sink): State<Sink>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response<Body> {
    let echo = format!("{headers:?} {body}");
    let received = Received { path: path.clone(), headers, body, at: Instant::now() };
    let before = {
        let mut all = sink.received.lock().unwrap();
        all.push(received);
        all.iter().filter(|r| r.path == path).count() - 1
    };
    let answer = sink.answers.lock().unwrap().get(&path).cloned().unwrap_or(Answer::Status(204));
    let plain = |status: u16| Response::builder().status(StatusCode::from_u16(status).unwrap());
    match answer {
        Answer::Status(status) => plain(status).body(Body::empty()).unwrap(),
        Answer::First(count, status) => {
            plain(if before < count { status } else { 204 }).body(Body::empty()).unwrap()
        }
        Answer::With(status, name, value) => plain(status).header(name, value).body(Body::empty()).unwrap(),
        Answer::Echo => plain(200).body(Body::from(echo)).unwrap(),
        Answer::Bytes(count) => {
            let chunks = (0..count / 65_536).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 65_536]));
            plain(200).body(Body::from_stream(futures::stream::iter(chunks))).unwrap()
        }
        Answer::Hangs => std::future::pending().await,
    }
}

/// Longer than anything takes on a machine that has other work to do.
const PATIENCE: Duration = Duration::from_secs(200);

/// What `look` finds, asked again until it finds something.
pub async fn until<T, F: Future<Output = Option<T>>>(look: impl Fn() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not come to that");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
