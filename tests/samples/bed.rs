//! A server with samples of authors who write by chance, each with habits.

use std::path::Path;

use daybook_tests::cli::Cli;
use daybook_tests::server::{KEY, Server};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

pub use crate::cli::style::prose;

/// The key of another tenant.
pub const OTHER: &str = "other-key";
/// Authors of [`Bed::with_samples`], each with [`EACH`] samples of 1,600 words.
pub const AUTHORS: u64 = 4;
pub const EACH: u64 = 4;

pub struct Bed {
    pub cli: Cli,
    pub server: Server,
    _data: Option<tempfile::TempDir>,
}

/// An answer's status and body; what is no JSON is a text.
pub type Answer = (StatusCode, Value);

impl Bed {
    pub fn new() -> Option<Self> {
        let data = tempfile::tempdir().unwrap();
        let mut bed = Self::at(data.path(), &[])?;
        bed._data = Some(data);
        Some(bed)
    }

    pub fn at(data: &Path, settings: &[(&str, &str)]) -> Option<Self> {
        let keys = format!("{KEY},{OTHER}:other");
        let settings = [&[("API_KEYS", &*keys)][..], settings].concat();
        let cli = Cli::new(data, &settings)?;
        let server = cli.serve();
        Some(Self { cli, server, _data: None })
    }

    /// With samples, and the position of the last.
    pub async fn with_samples() -> Option<(Self, u64)> {
        let bed = Self::new()?;
        let mut position = 0;
        for author in 0..AUTHORS {
            for work in 0..EACH {
                position = bed.submit(&sample(author, work)).await.1;
            }
        }
        Some((bed, position))
    }

    /// Submits a sample; its id and position.
    pub async fn submit(&self, form: &Value) -> (String, u64) {
        let answer = self.server.post("/v1/samples", form).await.unwrap();
        let id = answer["stream"]["id"].as_str().unwrap().to_owned();
        (id, answer["position"].as_u64().unwrap())
    }

    pub async fn send(&self, path: &str, media_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request =
            Client::new().post(format!("{}{path}", self.server.url)).header("Content-Type", media_type);
        answer(request.header("X-API-Key", KEY).body(body)).await
    }

    /// What reflects `position`, as this key and in this form.
    pub async fn ask(&self, path: &str, key: &str, accept: &str, position: u64) -> Answer {
        let request = Client::new().get(format!("{}{path}", self.server.url)).header("X-API-Key", key);
        answer(request.header("Accept", accept).header("Daybook-At-Least", position)).await
    }

    pub async fn get(&self, path: &str, position: u64) -> Value {
        self.server.get(path, position).await.unwrap()
    }

    /// Asks with a body, of rows that reflect `position`.
    pub async fn question(&self, path: &str, body: &Value, position: u64) -> Answer {
        let request = Client::new().post(format!("{}{path}", self.server.url)).header("X-API-Key", KEY);
        let request = request.header("Content-Type", "application/json").header("Daybook-At-Least", position);
        answer(request.body(body.to_string())).await
    }
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub fn name(author: u64) -> String {
    format!("Author {author}")
}

pub fn sample(author: u64, work: u64) -> Value {
    json!({
        "text": prose(author, work, 1_600), "title": format!("Work {author}.{work}"), "author": name(author),
        "written_at": format!("{}-05-01", 1990 + work),
    })
}
