//! Requests to endpoints of webhooks.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::delivery::Trouble;
use crate::endpoint::Method;

/// Of an answer's body, how much is read.
pub const MAX_ANSWER_BYTES: usize = 16 << 10;

#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Of the whole exchange.
    pub timeout: Duration,
}

/// Headers may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// `Retry-After` as it came.
    pub retry_after: Option<String>,
    /// At most [`MAX_ANSWER_BYTES`]; the rest was not read.
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub error: Trouble,
    /// For people; without secrets.
    pub detail: String,
}

/// Sends one request and reads the beginning of its answer. Follows no
/// redirect, and connects to no address that must not be sent to.
#[async_trait]
pub trait Sender: Send + Sync {
    async fn send(&self, request: Request) -> Result<Answer, Failure>;
}
