//! What happens when things break.

mod bus;
mod journal;
mod journal_log;
mod split;
mod torture;
