use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use axum::http::header;
use futures::StreamExt;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::*;
use crate::export::{ExportStore, Exports, Pieces};

/// Files in memory, unless there is no room.
#[derive(Default)]
struct Shelf {
    files: Mutex<HashMap<String, Vec<u8>>>,
    full: bool,
}

#[async_trait]
impl ExportStore for Shelf {
    async fn put(&self, name: &str, file: &Path) -> std::io::Result<()> {
        if self.full {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.files.lock().unwrap().insert(name.to_owned(), std::fs::read(file)?);
        Ok(())
    }

    async fn get(&self, name: &str) -> std::io::Result<Option<Pieces>> {
        let file = self.files.lock().unwrap().get(name).cloned();
        Ok(file.map(|bytes| futures::stream::iter([Ok(bytes.into())]).boxed()))
    }
}

fn state(bed: &Bed, full: bool) -> AuditState {
    let store = Arc::new(Shelf { full, ..Shelf::default() });
    let no_parquet = |_| Err(std::io::ErrorKind::Unsupported.into());
    let exports = Exports { store, parquet: no_parquet, ids: Arc::new(Counting::default()) };
    bed.state().with_exports(exports)
}

async fn post(bed: &Bed, state: &AuditState, owner: &str, body: Value) -> Answer {
    let request = Request::builder().method("POST").uri("/v1/audit/exports");
    let request = request.header(header::CONTENT_TYPE, "application/json").header("prefer", "wait=60");
    let principal = Principal::new(tenant(owner), "k", &[Role::Auditor]);
    bed.sent(state.clone(), request.extension(principal).body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn a_file_has_all_that_matched_and_the_log_its_hash() {
    let bed = small().await;
    let state = state(&bed, false);
    let ask = async |owner: &str, path: &str| bed.asked(state.clone(), owner, Role::Auditor, path).await;
    let made = post(&bed, &state, "acme", json!({"type": "band.registered,band.tagged"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (address, made) = (made.headers["location"].to_str().unwrap().to_owned(), made.json());
    let exported = &made["done"]["exported"];
    assert_eq!(
        (&exported["events"], &exported["upto"], &exported["size"]),
        (&2.into(), &4.into(), &4.into())
    );
    assert_eq!(exported["query"], json!({"tenant": "acme", "types": ["band.registered", "band.tagged"]}));
    assert_eq!(ask("acme", &address).await.json(), made);

    let file = ask("acme", made["done"]["file"].as_str().unwrap()).await;
    assert_eq!(file.headers["content-type"], "application/x-ndjson");
    assert_eq!(exported["sha256"], hex::encode(Sha256::digest(&file.text)));
    assert_eq!(exported["bytes"], file.text.len() as u64);
    let listed = bed.ok("acme", "/v1/audit/events?type=band.registered,band.tagged").await;
    let lines: Vec<Value> = file.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(lines), listed["events"]);

    let event = bed.all().await.pop().unwrap();
    assert_eq!((&*event.event_type, &*event.metadata.actor), ("audit.exported", "key:k"));
    assert_eq!(serde_json::from_str::<Value>(&event.payload).unwrap(), *exported);
    let manifest = ask("acme", made["done"]["manifest"].as_str().unwrap()).await;
    let proof = format!("/v1/audit/proofs/{}", event.position);
    assert_eq!((manifest.status, manifest.headers["location"].to_str().unwrap()), (307, &*proof));

    for path in
        [address.clone(), format!("{address}/events.ndjson"), format!("{address}/manifest.tlog-proof")]
    {
        assert_eq!(ask("other", &path).await.status, 404, "{path}");
        let installation = ask("_system", &format!("{path}?tenant=acme")).await.status;
        assert_eq!(installation, if path.ends_with("proof") { 307 } else { 200 }, "{path}");
        assert_eq!(bed.asked(state.clone(), "acme", Role::Reader, &path).await.status, 403, "{path}");
    }
    for missing in ["events.csv", "..", "events"] {
        assert_eq!(ask("acme", &format!("{address}/{missing}")).await.status, 404, "{missing}");
    }
    let unknown = format!("/v1/audit/exports/{}", Uuid::nil());
    assert_eq!(ask("acme", &unknown).await.status, 404);
}

#[tokio::test]
async fn a_table_has_the_same_rows() {
    let bed = small().await;
    let state = state(&bed, false);
    let made = post(&bed, &state, "acme", json!({"format": "csv", "after": 1, "upto": 99})).await.json();
    let exported = &made["done"]["exported"];
    assert_eq!(
        (&exported["after"], &exported["upto"], &exported["events"]),
        (&1.into(), &4.into(), &2.into())
    );
    let file = bed.asked(state, "acme", Role::Auditor, made["done"]["file"].as_str().unwrap()).await;
    let table = bed.ask("acme", Role::Auditor, "/v1/audit/events?format=csv&after=1&upto=4").await;
    assert_eq!(file.text, table.text);
}

#[tokio::test]
async fn what_cannot_be_exported_is_told_and_not_recorded() {
    let bed = small().await;
    let whole = state(&bed, false);
    for (body, pointer) in [
        (json!({"type": "band.eaten"}), "/type"),
        (json!({"actor": ""}), "/actor"),
        (json!({"since": "yesterday"}), "/since"),
        (json!({"format": "xml"}), "/format"),
        (json!({"after": 3, "upto": 2}), "/upto"),
        (json!({"limit": 2}), "/limit"),
    ] {
        let refused = post(&bed, &whole, "acme", body.clone()).await;
        assert_eq!(refused.status / 100, 4, "{body}: {}", refused.text);
        assert_eq!(refused.json()["errors"][0]["pointer"], pointer, "{body}: {}", refused.text);
    }
    assert_eq!(post(&bed, &whole, "acme", json!({"tenant": "other"})).await.status, 403);
    let turn = whole.turn().unwrap();
    assert_eq!(post(&bed, &whole, "acme", json!({})).await.status, 429);
    drop(turn);
    let full = state(&bed, true);
    let failed = post(&bed, &full, "acme", json!({})).await;
    assert_eq!(failed.status, 500, "{}", failed.text);
    assert!(full.turn().is_ok(), "its turn was given back");
    let nowhere = bed.state();
    assert_eq!(post(&bed, &nowhere, "acme", json!({})).await.status, 503);
    assert_eq!(bed.all().await.len(), 4);
}
