//! Stock-car races as a fantasy player needs them: the order of finish, whole
//! races, points by site, lineups.
//!
//! Everything is pure, seeded and versioned: the same races, seed and version
//! give the same numbers on every machine. Nothing knows a race that was not
//! given to it, and a race is given after it was predicted
//! ([`model::Model::project`] before [`model::Model::learn`]).
//!
//! | module | what |
//! |---|---|
//! | [`scoring`] | points and roster of a site at a date, as data |
//! | [`track`] | kinds of track; a track that is not known is an error |
//! | [`parameters`] | what of the model may be set |
//! | [`form`] | what past races say of a driver, car and team before a race |
//! | [`order`] | Plackett–Luce over the order of finish, filled from the back |
//! | [`incident`], [`share`] | who drops out; who leads and is fastest, given the order |
//! | [`simulate`], [`project`] | whole races, and what they say of each driver |
//! | [`backtest`] | predictions against what happened, race after race |
//! | [`live`] | the rest of a race that is under way |
//! | [`lineups`] | the best lineups, exactly; portfolios with exposures |

#![warn(missing_docs)]

pub mod backtest;
pub mod form;
pub mod incident;
pub mod lineups;
pub mod live;

mod logit;
pub mod math;
pub mod measure;
pub mod model;
pub mod name;
pub mod order;
pub mod parameters;
pub mod project;
pub mod race;
pub mod recalibrate;
pub mod rng;
pub mod scoring;
pub mod share;
pub mod simulate;
pub mod track;

/// Name and version of the race model; both change what is predicted.
pub const MODEL: &str = "plackett-luce-back";
/// Raised with every change that moves a number.
pub const VERSION: u32 = 1;
