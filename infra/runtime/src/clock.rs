//! The world's time and randomness, behind the domain's ports. Nothing else in
//! the system reads a clock for a fact.

use domain::ports::clock::{Clock, Ids};
use domain::time::to_micros;
use jiff::Timestamp;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        to_micros(Timestamp::now())
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}
