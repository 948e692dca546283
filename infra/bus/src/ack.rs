//! What a server answers to a published message.

use async_nats::{Message, StatusCode};
use domain::ports::bus::BusError;
use serde::Deserialize;

/// «wrong last sequence», as JetStream numbers its errors.
const WRONG_LAST_SEQUENCE: u64 = 10071;
/// No quorum, no leader, the server shuts down: it may go again later.
const TRANSIENT: [u64; 5] = [10008, 10009, 10023, 10039, 10074];

#[derive(Deserialize)]
struct Answer {
    seq: Option<u64>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// The sequence that the message has in the stream, new or known before.
pub(crate) fn read(message: &Message) -> Result<u64, BusError> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(BusError::Unavailable("no stream takes the subject".to_owned()));
    }
    let answer: Answer = serde_json::from_slice(&message.payload)
        .map_err(|e| BusError::Unavailable(format!("an acknowledgement does not read: {e}")))?;
    match answer {
        Answer { error: Some(failure), .. } if failure.err_code == WRONG_LAST_SEQUENCE => {
            Err(BusError::Moved)
        }
        Answer { error: Some(failure), .. } if TRANSIENT.contains(&failure.err_code) => {
            Err(BusError::Unavailable(failure.description))
        }
        Answer { error: Some(failure), .. } => Err(BusError::Refused(failure.description)),
        Answer { seq: Some(seq), .. } => Ok(seq),
        Answer { .. } => Err(BusError::Unavailable("an acknowledgement says nothing".to_owned())),
    }
}
