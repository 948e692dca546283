//! Process managers: they follow something and act on it.

pub mod drainer;
pub mod relay;

pub use drainer::{Drainer, DrainerConfig, align};
pub use relay::{Relay, RelayConfig};
