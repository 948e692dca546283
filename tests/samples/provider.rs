//! A provider of language models in the test's own process: both protocols,
//! with answers as they were recorded.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use serde_json::{Value, json};

/// How the next request for a text is answered.
#[derive(Clone)]
pub enum Then {
    Text(String),
    Status(u16),
    Body(String),
    /// So many bytes.
    Long(usize),
    Hangs,
}

/// One request.
#[derive(Clone)]
pub struct Asked {
    pub path: String,
    pub key: String,
    pub body: Value,
}

#[derive(Clone, Default)]
pub struct Provider {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    then: Arc<Mutex<VecDeque<Then>>>,
    dimension: Arc<AtomicUsize>,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let provider = Self { url, ..Self::default() };
        provider.dimension.store(16, Ordering::SeqCst);
        let router = Router::new().fallback(answer).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    /// Answers texts so, one after the other.
    pub fn then(&self, answers: impl IntoIterator<Item = Then>) {
        self.then.lock().unwrap().extend(answers);
    }

    /// Of vectors from now on; 0: an answer without any.
    pub fn dimension(&self, dimension: usize) {
        self.dimension.store(dimension, Ordering::SeqCst);
    }

    /// All requests that sent a text.
    pub fn asked(&self) -> Vec<Asked> {
        let all = self.asked.lock().unwrap();
        all.iter().filter(|asked| !asked.path.ends_with("/tags")).cloned().collect()
    }

    fn vectors(&self, body: &Value) -> Vec<Vec<f64>> {
        let dimension = self.dimension.load(Ordering::SeqCst);
        if dimension == 0 {
            return Vec::new();
        }
        let place = |text: &Value| {
            let mut counts = vec![0.0; dimension];
            text.as_str().unwrap().bytes().for_each(|b| counts[usize::from(b) % dimension] += 1.0);
            counts
        };
        body["input"].as_array().unwrap().iter().map(place).collect()
    }
}

fn said(status: u16, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

async fn answer(
    State(provider): State<Provider>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let key = headers.get("authorization").map_or("", |v| v.to_str().unwrap()).to_owned();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = uri.path().to_owned();
    provider.asked.lock().unwrap().push(Asked { path: path.clone(), key, body: body.clone() });
    let answered = match path.as_str() {
        "/api/tags" => {
            json!({"models": [{"name": "writer:latest", "digest": "d1"}, {"name": "placer", "digest": "d2"}]})
        }
        "/api/embed" => json!({"embeddings": provider.vectors(&body), "prompt_eval_count": 10}),
        "/v1/embeddings" => {
            let placed = provider.vectors(&body).into_iter().enumerate();
            let data: Vec<Value> = placed.map(|(index, v)| json!({"index": index, "embedding": v})).collect();
            json!({"data": data, "usage": {"total_tokens": 10}})
        }
        _ => {
            let then = provider.then.lock().unwrap().pop_front();
            let text = match then {
                Some(Then::Text(text)) => text,
                Some(Then::Status(status)) => return said(status, "{}"),
                Some(Then::Body(body)) => return said(200, body),
                Some(Then::Long(bytes)) => return said(200, vec![b' '; bytes]),
                Some(Then::Hangs) => std::future::pending().await,
                None => return said(404, "{}"),
            };
            match path.ends_with("/chat") {
                true => {
                    json!({"message": {"content": text}, "done_reason": "stop", "prompt_eval_count": 90, "eval_count": 10})
                }
                false => {
                    json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": {"total_tokens": 100}})
                }
            }
        }
    };
    said(200, answered.to_string())
}
