//! Writing style as numbers: what a text's features are, whose known texts it
//! stands nearest to, whether one author may have written two texts, and how
//! far any of that can be believed.
//!
//! Everything is a pure function of texts and parameters. Randomness is drawn
//! from a seed that is part of the parameters. A name with `@n` names rules
//! and constants together: changing either is a new version.
#![warn(missing_docs)]

pub mod attribute;
pub mod boilerplate;
pub mod calibrate;
pub mod cluster;
pub mod corpus;
mod counting;
pub mod delta;
pub mod drift;
pub mod explain;
pub mod features;
pub mod fingerprint;
mod grams;
mod hashing;
pub mod indicators;
pub mod language;
mod linear;
pub mod metrics;
pub mod normalise;
pub mod random;
mod reading;
pub mod rolling;
pub mod scale;
mod segment;
pub mod table;
pub mod tokens;
pub mod verify;
pub mod vocabulary;
pub mod warnings;

/// Features, scaling, ridge responses and calibration of attribution.
pub const ATTRIBUTION: &str = "style@1";
/// General imposters and their grey zone.
pub const VERIFICATION: &str = "imposters@1";
/// The rule by which texts are brought into one form.
pub const NORMALISATION: &str = "normalise@1";
/// The document features.
pub const FEATURES: &str = "features@1";

/// Indicators of machine-written text, with their coefficients.
pub const INDICATORS: &str = "indicators@1";

/// Fewer words than this get no verdict.
pub const MIN_WORDS: usize = 500;
/// Fewer words than this get a warning.
pub const ENOUGH_WORDS: usize = 1_500;
