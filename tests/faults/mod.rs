//! What happens when things break.

mod journal;
mod journal_log;
mod torture;
