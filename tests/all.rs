//! The one integration-test binary.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod api;
mod demo;
mod conformance;
mod faults;
mod flow;
mod house;
mod import;
