//! UmaDB's engine in this process: its blocking writer thread, which is the
//! default and commits in groups. An append goes through if its stream has no
//! event that its caller does not know, unless the case is unconditional.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, anyhow};
use tokio::sync::{mpsc, oneshot, watch};
use umadb_core::mvcc::{Mvcc, StorageOptions};
use umadb_core::writer_thread_blocking::writer_thread_blocking;
use umadb_core::writer_thread_request::WriterThreadRequest;
use umadb_dcb::{DcbAppendCondition, DcbEvent, DcbQuery, DcbQueryItem};
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
    let rate =
        measure(case, |number, until| append_until(requests.clone(), case.unconditional, number, until))
            .await?;
    drop(requests);
    tokio::task::spawn_blocking(move || writer.join())
        .await?
        .map_err(|_| anyhow!("UmaDB's writer panicked"))?;
    Ok(rate)
}

async fn append_until(
    requests: mpsc::Sender<WriterThreadRequest>,
    unconditional: bool,
    number: usize,
    until: Instant,
) -> Result<u64> {
    let (mut count, mut known) = (0, None);
    while Instant::now() < until {
        let (response_tx, response) = oneshot::channel();
        let command_id = Uuid::now_v7().to_string();
        let tags = vec![format!("s-{number}-{}", count / EVENTS_PER_STREAM)];
        let unknown = DcbQueryItem { types: Vec::new(), tags: tags.clone() };
        let condition = (!unconditional).then(|| DcbAppendCondition {
            fail_if_events_match: DcbQuery { items: vec![unknown] },
            after: known,
        });
        let event = DcbEvent {
            event_type: "band.tapped".to_owned(),
            tags,
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
            condition,
            tracking_info: None,
            response_tx,
            cancel: None,
        };
        requests.send(request).await.map_err(|_| anyhow!("UmaDB's writer is gone"))?;
        let position = response.await?.map_err(|e| anyhow!("{e:?}"))?;
        count += 1;
        known = (count % EVENTS_PER_STREAM != 0).then_some(position);
    }
    Ok(count)
}
