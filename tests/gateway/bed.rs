//! A server with a key of the app `shop`.

use daybook_tests::server::{KEY, Server, binary};
use daybook_tests::skip;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

pub struct Bed {
    pub server: Server,
    /// Of the app `shop`, and good for its signals only.
    pub shop: String,
    data: tempfile::TempDir,
}

/// An answer's status and body.
pub type Answer = (StatusCode, Value);

impl Bed {
    pub async fn new(settings: &[(&str, &str)]) -> Option<Self> {
        let Ok(binary) = binary() else {
            skip("the daybook binary is not built");
            return None;
        };
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(&binary, data.path(), settings).unwrap();
        let asked = json!({"name": "phones", "roles": ["ingest"], "app": "shop"});
        let issued = server.post("/v1/keys", &asked).await.unwrap();
        let shop = issued["key"].as_str().unwrap().to_owned();
        Some(Self { server, shop, data })
    }

    pub fn data(&self) -> &std::path::Path {
        self.data.path()
    }

    /// Stops the server and hands out what it leaves.
    pub fn stop(self) -> anyhow::Result<tempfile::TempDir> {
        self.server.stop()?;
        Ok(self.data)
    }

    /// The same after a SIGKILL.
    pub fn killed_and_started(self, settings: &[(&str, &str)]) -> Self {
        self.server.kill().unwrap();
        let server = Server::start(&binary().unwrap(), self.data.path(), settings).unwrap();
        Self { server, ..self }
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        Client::new().post(format!("{}{path}", self.server.url)).header("X-API-Key", &self.shop)
    }

    /// Sends a body of this type as the app.
    pub async fn send(&self, path: &str, media_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        answer(self.post(path).header("Content-Type", media_type).body(body)).await
    }

    pub async fn get(&self, path: &str, position: u64) -> Value {
        self.server.get(path, position).await.unwrap()
    }

    /// The signal at this position, as a CloudEvent.
    pub async fn event(&self, position: &Value) -> Value {
        self.get(&format!("/v1/signals/{position}"), 0).await["event"].clone()
    }
}

pub async fn answer(request: RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap())
}

pub fn admin(request: RequestBuilder) -> RequestBuilder {
    request.header("X-API-Key", KEY)
}
