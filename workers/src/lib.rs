//! Process managers: they follow something and act on it.

pub mod drainer;

pub use drainer::{Drainer, DrainerConfig, align};
