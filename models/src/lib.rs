//! Versioned, pure interpretations of facts: the same facts, model and
//! parameters give the same answer on every machine and every day.

pub mod buckets;
pub mod taps;
