//! Rules of the repository, checked by reading it.

mod edges;
mod files;
mod manifests;
