//! The protocol of the Numenta Anomaly Benchmark, version 1.1: which rows
//! count, what a detection earns, and the one threshold for a whole corpus
//! that a detector is judged by. Written from the published rules; the golden
//! files of the benchmark are reproduced to 1e-6.

mod corpus;
mod score;
mod sweep;

pub use corpus::{Corpus, CorpusError, Labelled};
pub use score::{Counts, PROFILES, Profile, Ruler, probation, sigmoid};
pub use sweep::{Best, normalised, optimise};
