//! Process managers: they follow something and act on it.

pub mod dispatcher;
pub mod drainer;
pub mod file;
pub mod reactions;
pub mod relay;
pub mod signer;
pub mod style_drift;
#[cfg(test)]
mod testing;
pub mod vitals;

pub use drainer::{Drainer, DrainerConfig, align};
pub use reactions::Reactor;
pub use relay::{Relay, RelayConfig};
pub use signer::{Signer, SignerConfig};
pub use style_drift::DriftWatch;
pub use vitals::Vitals;
