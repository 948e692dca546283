//! Anomalies in numeric series: detectors that judge each point by what came
//! before it, and the scorer of the benchmark that they are measured by.
//!
//! Every detector has a name with a version; its answers depend on the points
//! and their order alone. Instants are microseconds since 1970 UTC, values are
//! in the series' own unit, scores are between 0 and 1.
//!
//! | name | what it looks for |
//! |---|---|
//! | `ensemble@1` | the two next, together; the default |
//! | `discord@1` | stretches of 8, 24 and 72 points unlike any in the last 4,000 |
//! | `context@1` | a level that did not follow this context before |
//! | `seasonal_band@1` | values outside what is usual at this time of the day or week |
//! | `windowed_gaussian@1` | values far from the mean; a baseline |
//!
//! Sources: distances to the nearest earlier stretch are the left matrix
//! profile (Yeh and others, 2016); contextual detection over facts follows the
//! published description of the method known from the benchmark; the benchmark
//! is NAB 1.1 (Lavin and Ahmad, 2015).
#![warn(missing_docs)]

pub mod detect;
pub mod nab;
pub mod series;
pub mod watch;
