//! Who asks.

mod principal;

pub use domain::api_key::Role;
pub use principal::Principal;
