//! Writing samples through a whole server: in, folded, asked about, erased.

mod bed;
mod bodies;
mod document;
mod drift;
mod figures;
mod lives;
mod models;
mod papers;
mod passages;
mod provider;
mod real;
mod rewriting;
