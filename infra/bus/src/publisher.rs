//! Publishing in order, with many messages under way.
//!
//! Each message expects the one before it to be the stream's last. So they are
//! stored in order or not at all, and acknowledged in order.

use std::time::Duration;

use async_nats::{Client, Subscriber};
use async_trait::async_trait;
use domain::RecordedEvent;
use domain::ports::bus::{BusError, Publisher};
use futures::StreamExt;

use crate::ack;
use crate::feed;
use crate::message::message;
use crate::nats::unavailable;

pub(crate) struct NatsPublisher {
    pub client: Client,
    pub acks: Subscriber,
    pub inbox: String,
    pub subjects: String,
    pub in_flight: u64,
    pub live: bool,
    pub patience: Duration,
    pub sent: u64,
    pub acked: u64,
}

impl NatsPublisher {
    async fn publish(&mut self, event: &RecordedEvent) -> Result<(), BusError> {
        if event.position != self.sent + 1 {
            return Err(BusError::Moved);
        }
        let message = message(&self.subjects, event, self.client.max_payload());
        let live = if self.live && feed::is_new(event) { feed::subjects(event) } else { Vec::new() };
        let told = (!live.is_empty()).then(|| (feed::headers(&message.headers), message.body.clone()));
        let (subject, reply) = (message.subject, self.inbox.clone());
        let published =
            self.client.publish_with_reply_and_headers(subject, reply, message.headers, message.body);
        // While the connection is away, messages wait in a bounded buffer.
        let published = tokio::time::timeout(self.patience, published).await;
        published.map_err(|_| silent(self.patience))?.map_err(unavailable)?;
        self.sent = event.position;
        let Some((headers, body)) = told else { return Ok(()) };
        for subject in live {
            let told = self.client.publish_with_headers(subject, headers.clone(), body.clone());
            // Nobody keeps it, so nothing waits for it any longer than for the rest.
            let told = tokio::time::timeout(self.patience, told).await;
            told.map_err(|_| silent(self.patience))?.map_err(unavailable)?;
        }
        Ok(())
    }

    /// Waits until at most `left` messages are not acknowledged.
    async fn settle(&mut self, left: u64) -> Result<(), BusError> {
        while self.sent - self.acked > left {
            let answer = tokio::time::timeout(self.patience, self.acks.next()).await;
            let answer = answer.map_err(|_| silent(self.patience))?;
            let answer =
                answer.ok_or_else(|| BusError::Unavailable("the connection is closed".to_owned()))?;
            // Acknowledgements may be lost with a leader; then it is found out
            // anew what is there.
            if ack::read(&answer)? != self.acked + 1 {
                return Err(BusError::Moved);
            }
            self.acked += 1;
        }
        Ok(())
    }
}

fn silent(patience: Duration) -> BusError {
    BusError::Unavailable(format!("no acknowledgement within {} s", patience.as_secs()))
}

#[async_trait]
impl Publisher for NatsPublisher {
    async fn send(&mut self, events: &[RecordedEvent]) -> Result<u64, BusError> {
        for event in events {
            if self.sent - self.acked >= self.in_flight {
                self.settle(self.in_flight / 2).await?;
            }
            self.publish(event).await?;
        }
        Ok(self.acked)
    }

    async fn flush(&mut self) -> Result<u64, BusError> {
        self.settle(0).await?;
        Ok(self.acked)
    }
}
