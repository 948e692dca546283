//! The bus on NATS JetStream and, for tests, in memory.
//!
//! A stream is written by nobody else and from its first message on, so that
//! a message's sequence in the stream *is* the event's position in the log.
//! Each publish carries `Nats-Expected-Last-Sequence`; the server refuses what
//! does not belong next. That is the whole fence: no clock, no lease and no
//! window of remembered ids has a part in it. Who publishes there besides takes
//! an event's place, which is noticed, since its acknowledgement is refused.

mod ack;
mod bell;
mod consumers;
pub mod feed;
mod memory;
mod message;
mod nats;
mod publisher;
mod reader;
mod settings;

pub use memory::MemoryBus;
pub use message::{HEADERS, subject};
pub use nats::NatsBus;
pub use settings::BusOptions;
