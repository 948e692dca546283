//! The gateway through a server in a process of its own: signals in, webhooks
//! out.

pub mod dispatch;
pub mod ingest;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use futures::stream;
use reqwest::Client;
use serde_json::{Value, json};

use crate::catch_up::store::Database;
use crate::child::{Daybook, KEY, Server};

/// Limits that are there to be hit are not what is measured.
const UNLIMITED: [(&str, &str); 6] = [
    ("RATE_LIMIT_PER_SECOND", "0"),
    ("DAYBOOK_GATEWAY_RATE_PER_SECOND", "0"),
    ("DAYBOOK_GATEWAY_GLOBAL_RATE_PER_SECOND", "0"),
    ("WEBHOOKS_ALLOW_NETWORKS", "127.0.0.1"),
    ("DAYBOOK_WEBHOOKS_ALLOW_HTTP", "true"),
    ("DAYBOOK_WEBHOOKS_RETRY_AFTER", "1h"),
];
/// Requests of commands at once.
const AT_ONCE: usize = 16;

/// A server over an empty log.
pub struct Bed {
    pub server: Server,
    pub client: Client,
    database: Option<Database>,
    _folder: tempfile::TempDir,
}

impl Bed {
    /// On PostgreSQL where a server is told, else on SQLite.
    pub async fn new(postgres: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = match postgres {
            Some(server) => Some(Database::create(server).await?),
            None => None,
        };
        let url = database.as_ref().map(|database| ("DATABASE_URL", database.url.as_str()));
        let settings: Vec<(&str, &str)> = UNLIMITED.into_iter().chain(url).collect();
        let server = Daybook::new(folder.path(), &settings).serve(&[])?;
        Ok(Self { server, client: Client::new(), database, _folder: folder })
    }

    pub async fn end(self) -> Result<()> {
        drop(self.server);
        match self.database {
            Some(database) => database.remove().await,
            None => Ok(()),
        }
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let url = format!("{}{path}", self.server.url);
        let request =
            self.client.post(url).header("X-API-Key", KEY).header("Content-Type", "application/json");
        answer(request.body(body.to_string())).await.with_context(|| format!("POST {path}"))
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        let request = self.client.get(format!("{}{path}", self.server.url)).header("X-API-Key", KEY);
        answer(request).await.with_context(|| format!("GET {path}"))
    }

    /// Commands that do not depend on one another.
    pub async fn post_all(&self, all: impl Iterator<Item = (String, Value)>) -> Result<()> {
        let posts =
            stream::iter(all).map(|(path, body)| async move { self.post(&path, &body).await.map(drop) });
        let mut posts = posts.buffer_unordered(AT_ONCE);
        while let Some(done) = posts.next().await {
            done?;
        }
        Ok(())
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Value> {
    let response = request.send().await?;
    let (status, text) = (response.status(), response.text().await?);
    ensure!(status.is_success(), "{status}: {text}");
    Ok(serde_json::from_str(&text)?)
}

/// An app's event as a phone sends it, about 320 bytes.
fn order(id: u64, event: &str) -> Value {
    json!({"appId": "shop", "deviceId": format!("device-{:05}", id % 20_000), "idempotencyKey": format!("k-{id:010}"),
        "timestampMs": 1_790_000_000_000_u64 + id, "custom": {"eventName": event, "params": {
            "orderId": format!("o-{id}"), "totalCents": id * 7_919 % 100_000, "currency": "EUR", "items": id % 9,
            "coupon": "SUMMER", "screen": "checkout", "version": "4.12.1"}}})
}
