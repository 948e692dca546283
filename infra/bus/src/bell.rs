//! The bell: small messages beside the stream that nobody keeps.

use async_nats::Subscriber;
use async_trait::async_trait;
use domain::ports::bus::{Bell, BusError, Ring, Rings};
use futures::StreamExt;
use serde::{Deserialize, Serialize};

use crate::NatsBus;
use crate::nats::unavailable;

#[derive(Serialize, Deserialize)]
struct Body {
    position: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaf: Option<String>,
}

impl NatsBus {
    fn bell(&self, topic: &str) -> String {
        format!("daybook.bell.{}.{topic}", self.options().stream)
    }
}

#[async_trait]
impl Bell for NatsBus {
    async fn ring(&self, ring: Ring) -> Result<(), BusError> {
        let body = Body { position: ring.position, leaf: ring.leaf.map(hex::encode) };
        let body = serde_json::to_vec(&body).map_err(unavailable)?;
        let client = self.client().await?;
        // Nobody waits for a bell: without a connection it does not ring.
        if client.connection_state() != async_nats::connection::State::Connected {
            return Err(BusError::Unavailable("not connected".to_owned()));
        }
        client.publish(self.bell(&ring.topic), body.into()).await.map_err(unavailable)
    }

    async fn listen(&self) -> Result<Box<dyn Rings>, BusError> {
        let all = self.client().await?.subscribe(self.bell("*")).await.map_err(unavailable)?;
        Ok(Box::new(NatsRings(all)))
    }
}

struct NatsRings(Subscriber);

#[async_trait]
impl Rings for NatsRings {
    async fn next(&mut self) -> Option<Ring> {
        loop {
            let message = self.0.next().await?;
            if let Some(ring) = read(&message.subject, &message.payload) {
                return Some(ring);
            }
        }
    }
}

fn read(subject: &str, payload: &[u8]) -> Option<Ring> {
    let body: Body = serde_json::from_slice(payload).ok()?;
    let mut bytes = [0; 32];
    let leaf = match body.leaf {
        Some(text) => {
            hex::decode_to_slice(text, &mut bytes).ok()?;
            Some(bytes)
        }
        None => None,
    };
    Some(Ring { topic: subject.rsplit('.').next()?.to_owned(), position: body.position, leaf })
}
