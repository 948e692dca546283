//! What every row store promises, tried on each of them: in memory, SQLite,
//! Postgres.

mod bed;
mod checksums;
mod commits;
mod generations;
mod pointer;
mod reads;
mod snapshots;
mod views;
