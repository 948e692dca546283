//! UmaDB's engine in this process: its blocking writer thread, which is the
//! default and commits in groups. Appends are unconditional.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::mvcc::{Mvcc, StorageOptions};
use umadb_core::writer_thread_blocking::writer_thread_blocking;
use umadb_core::writer_thread_request::WriterThreadRequest;
use umadb_dcb::DcbEvent;
use uuid::Uuid;

use super::{Case, EVENTS_PER_STREAM, PAYLOAD, measure};

const QUEUE: usize = 10_000;
const BATCH: usize = 1_000;

pub async fn run(case: &Case) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let options = StorageOptions::default().db_path(folder.path());
    let store = Mvcc::new(false, options).map_err(|e| anyhow!("{e:?}"))?;
    let (requests, queue) = mpsc::channel(QUEUE);
    let (head, _watch) = watch::channel(None);
    let writer = std::thread::spawn(move || writer_thread_blocking(Arc::new(store), queue, head, BATCH));
    let rate = measure(case, |number, until| append_until(requests.clone(), number, until)).await?;
    drop(requests);
    tokio::task::spawn_blocking(move || writer.join())
        .await?
        .map_err(|_| anyhow!("UmaDB's writer panicked"))?;
    Ok(rate)
}

async fn append_until(
    requests: mpsc::Sender<WriterThreadRequest>,
    number: usize,
    until: Instant,
) -> Result<u64> {
    let mut count = 0;
    while Instant::now() < until {
        let (response_tx, response) = oneshot::channel();
        let command_id = Uuid::now_v7().to_string();
        let event = DcbEvent {
            event_type: "band.tapped".to_owned(),
            tags: vec![format!("s-{number}-{}", count / EVENTS_PER_STREAM)],
            data: PAYLOAD.as_bytes().to_vec(),
            uuid: Some(Uuid::now_v7()),
            metadata: vec![
                ("actor".to_owned(), "key:bench".to_owned()),
                ("command".to_owned(), command_id.clone()),
                ("correlation".to_owned(), command_id),
            ],
        };
        let request = WriterThreadRequest::Append {
            events: vec![event],
            condition: None,
            tracking_info: None,
            response_tx,
            cancel: None,
        };
        requests.send(request).await.map_err(|_| anyhow!("UmaDB's writer is gone"))?;
        response.await?.map_err(|e| anyhow!("{e:?}"))?;
        count += 1;
    }
    Ok(count)
}
