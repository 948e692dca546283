//! Valuation of portfolios, pure and versioned: the same positions, market and
//! scenarios give the same numbers on every machine and every day.
//!
//! A [`snapshot::Snapshot`] is what was observed; a [`market::Market`] is made of
//! it once. A [`terms::Product`] is compiled on a market into a
//! [`program::Program`], which is then priced in any number of scenarios without
//! looking at dates again.
#![warn(missing_docs)]

pub mod book;
pub mod bootstrap;
pub mod calendar;
pub mod curve;
pub mod date;
pub mod daycount;
pub mod engine;
pub mod fx;
pub mod index;
pub mod market;
pub mod measures;
pub mod model;
pub mod money;
pub mod normal;
pub mod position;
pub mod products;
pub mod program;
pub mod quality;
pub mod scenario;
pub mod schedule;
pub mod snapshot;
mod solve;
pub mod terms;
pub mod tree;
