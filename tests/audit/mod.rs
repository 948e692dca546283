//! History checked from outside: proofs, and what was changed behind the log's
//! back.

mod access;
mod bed;
mod exports;
mod history;
mod http;
mod keys;
mod others;
mod proofs;
mod tamper;
mod walk;
mod watch;
mod witness;
