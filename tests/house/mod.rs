//! Rules of the repository, checked by reading it.

mod canonical;
mod compose;
mod edges;
mod files;
mod manifests;
