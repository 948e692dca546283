//! Process managers: they follow something and act on it.

pub mod drainer;
pub mod file;
pub mod relay;
pub mod signer;

pub use drainer::{Drainer, DrainerConfig, align};
pub use relay::{Relay, RelayConfig};
pub use signer::{Signer, SignerConfig};
