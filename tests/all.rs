//! The one integration-test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod api;
mod archive;
mod audit;
mod cli;
mod conformance;
mod demo;
mod faults;
mod flow;
mod gateway;
mod house;
mod import;
mod privacy;
mod samples;
mod valuation;
mod warehouse;
