//! Which rules an event matches.
//!
//! A rule's conditions are compiled once, when it is saved, and refused there
//! if they are too large, too deep or could cost too much
//! ([`Compiled::new`]). A [`RuleSet`] finds the rules that an event concerns
//! by its application, category and type, so that an event costs what those
//! rules cost and not what all rules do. Matching reads the event and nothing
//! else: the same rules and the same event give the same answer.
//!
//! Conditions are a list of {JSONPath, operator, value}
//! ([`domain::rule::Condition`]), an expression in a subset of CEL ([`cel`]),
//! or both; all have to hold. [`watched::Watched`] has the series of a rule that
//! watches some.
#![warn(missing_docs)]

pub mod cel;
mod compare;
mod compiled;
pub mod path;
mod pattern;
mod set;
pub mod watched;

/// Changes when what is kept of series does.
pub use models_anomaly::watch::STATE_VERSION as KNOWN_VERSION;

pub use compiled::{Compiled, Invalid, Outcome};
pub use set::{Matched, RuleSet, Signal};

/// Name and version of how conditions are judged.
pub const NAME: &str = "rules@1";
