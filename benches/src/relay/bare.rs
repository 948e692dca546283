//! The peer: JetStream publishes of async-nats, pipelined.

use std::collections::VecDeque;
use std::time::Instant;

use anyhow::Result;
use async_nats::HeaderMap;
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use domain::{RecordedEvent, cloud_event};

use super::server::Nats;

pub async fn run(events: &[RecordedEvent], in_flight: usize) -> Result<f64> {
    let nats = Nats::start().await?;
    let context = jetstream::context::ContextBuilder::new()
        .max_ack_inflight(in_flight * 2)
        .build(async_nats::connect(nats.url()).await?);
    let config = stream::Config {
        name: "DAYBOOK_EVENTS".to_owned(),
        subjects: vec!["events.>".to_owned()],
        storage: stream::StorageType::File,
        ..stream::Config::default()
    };
    context.create_stream(config).await?;
    let messages: Vec<(String, HeaderMap, Bytes)> = events.iter().map(message).collect();
    let mut waiting: VecDeque<jetstream::context::PublishAckFuture> = VecDeque::with_capacity(in_flight);
    let (start, count) = (Instant::now(), messages.len());
    for (subject, headers, body) in messages {
        if waiting.len() >= in_flight
            && let Some(oldest) = waiting.pop_front()
        {
            oldest.await?;
        }
        waiting.push_back(context.publish_with_headers(subject, headers, body).await?);
    }
    for ack in waiting {
        ack.await?;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

fn message(event: &RecordedEvent) -> (String, HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", event.position.to_string());
    let values = [
        cloud_event::CONTENT_TYPE.to_owned(),
        event.position.to_string(),
        event.stream.tenant.to_string(),
        event.event_type.to_string(),
        event.schema.to_string(),
        event.version.to_string(),
        hex(&event.leaf),
    ];
    for (name, value) in infra_bus::HEADERS.into_iter().zip(values) {
        headers.insert(name, value);
    }
    (infra_bus::subject("events", event), headers, cloud_event::encode(event, true).into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
