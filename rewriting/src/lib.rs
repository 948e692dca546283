//! Language models at work on samples: a text written anew in the direction of
//! an author's fingerprint, and vectors that say how near texts are in meaning.
//!
//! | module | what |
//! |---|---|
//! | [`sending`] | the one way out: recorded and within the budget before a text leaves |
//! | [`instructions`] | what a model is told, made from the target's fingerprint |
//! | [`measure`] | how near a candidate is in meaning, what was changed |
//! | [`choose`] | candidates measured, and the best of them |
//! | [`work`] | one rewrite from request to outcome |
//! | [`follow`] | requests as they come, a few at a time |
//! | [`vectors`] | texts as vectors, and the routes that keep and compare them |
//! | [`routes`] | rewrites over HTTP |

pub mod choose;
pub mod follow;
pub mod instructions;
pub mod measure;
pub mod routes;
pub mod sending;
mod texts;
pub mod vectors;
pub mod work;

pub use follow::Rewriter;
pub use routes::{Rewriting, openapi, reads, reads_openapi, router};
pub use sending::Sender;
