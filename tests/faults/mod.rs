//! What happens when things break.

mod archiver;
mod bus;
mod database;
mod disk;
mod journal;
mod journal_log;
mod split;
mod torture;
