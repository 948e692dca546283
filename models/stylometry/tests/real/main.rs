//! Accuracy on real texts, where they are at hand: the folder that
//! `DAYBOOK_DATA` names, or `../shared/data` beside the repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

mod attribution;
mod data;
mod indicators;
mod verification;
