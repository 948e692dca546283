//! Reading a range of the stream back.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::Stream;
use domain::cloud_event;
use domain::ports::bus::{BusError, Entry};
use futures::StreamExt;

use crate::nats::unavailable;

/// A replica of a cluster that has just come back tells for a moment that
/// there is nothing where there is something.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) async fn read(
    stream: &Stream,
    after: u64,
    limit: usize,
    patience: Duration,
) -> Result<Vec<Entry>, BusError> {
    let info = stream.cached_info();
    if info.state.last_sequence <= after || info.state.messages == 0 || limit == 0 {
        return Ok(Vec::new());
    }
    for _ in 1..TRIES {
        let entries = attempt(stream, after, limit, patience).await?;
        if !entries.is_empty() || info.cluster.is_none() {
            return Ok(entries);
        }
        tokio::time::sleep(PAUSE).await;
    }
    attempt(stream, after, limit, patience).await
}

async fn attempt(
    stream: &Stream,
    after: u64,
    limit: usize,
    patience: Duration,
) -> Result<Vec<Entry>, BusError> {
    let consumer = stream.create_consumer(pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
        ack_policy: AckPolicy::None,
        inactive_threshold: patience,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    });
    let consumer = consumer.await.map_err(unavailable)?;
    let entries = take(&consumer, limit, patience).await;
    if let Err(error) = stream.delete_consumer(&consumer.cached_info().name).await {
        // It ends by itself after a while.
        tracing::debug!(%error, "bus: a reader was left behind");
    }
    entries
}

/// As many as the consumer says there are. Fewer are no error, as long as there
/// is one: the rest is asked for again.
async fn take(consumer: &PullConsumer, limit: usize, patience: Duration) -> Result<Vec<Entry>, BusError> {
    let wanted = usize::try_from(consumer.cached_info().num_pending).unwrap_or(limit).min(limit);
    if wanted == 0 {
        return Ok(Vec::new());
    }
    let batch = consumer.batch().max_messages(wanted).expires(patience).messages();
    let mut messages = batch.await.map_err(unavailable)?;
    let mut entries = Vec::with_capacity(wanted);
    while let Some(message) = messages.next().await {
        let message = message.map_err(unavailable)?;
        let position = message.info().map_err(unavailable)?.stream_sequence;
        let event = cloud_event::decode(&message.payload).filter(|e| e.position == position);
        entries.push(Entry {
            position,
            event_type: event.as_ref().map(|e| e.event_type.to_string()).unwrap_or_default(),
            leaf: event.map(|e| e.leaf),
        });
    }
    if entries.is_empty() {
        return Err(BusError::Unavailable(format!("none of {wanted} messages came")));
    }
    Ok(entries)
}
