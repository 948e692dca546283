//! The event gateway through a whole server.

mod anomalies;
mod bed;
mod examples;
mod faults;
mod import;
mod ingest;
mod rules;
mod schemas;
mod sink;
mod split;
mod told;
mod webhooks;
