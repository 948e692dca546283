//! Consumers that outlive the stream which they were made on.

use async_nats::jetstream::consumer::{self, Config, DeliverPolicy};
use async_nats::jetstream::stream::Stream;
use domain::ports::bus::{BusError, Consumer};
use futures::TryStreamExt;

use crate::nats::unavailable;

/// The durable ones. What they have acknowledged is a sequence and so a
/// position, in whichever stream.
pub(crate) async fn list(stream: &Stream) -> Result<Vec<Consumer>, BusError> {
    let mut durable = Vec::new();
    let mut all = stream.consumers();
    while let Some(found) = all.try_next().await.map_err(unavailable)? {
        if let Some(name) = found.config.durable_name.clone() {
            let config = serde_json::to_string(&found.config).map_err(unavailable)?;
            durable.push(Consumer { name, acknowledged: found.ack_floor.stream_sequence, config });
        }
    }
    Ok(durable)
}

pub(crate) async fn restore(stream: &Stream, consumer: &Consumer) -> Result<(), BusError> {
    let mut config: Config = serde_json::from_str(&consumer.config).map_err(unavailable)?;
    config.deliver_policy = DeliverPolicy::ByStartSequence { start_sequence: consumer.acknowledged + 1 };
    let made: Result<consumer::Consumer<Config>, _> = stream.create_consumer(config).await;
    made.map(|_| ())
        .map_err(|e| BusError::Unavailable(format!("the consumer {} was not made again: {e}", consumer.name)))
}
