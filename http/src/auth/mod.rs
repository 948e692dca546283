//! Who asks: API keys, the ring that knows them, and the middleware that
//! turns one into a [`Principal`].

mod failures;
mod key;
mod layer;
mod principal;
mod ring;
#[cfg(test)]
mod tests;

pub use domain::api_key::Role;
pub use failures::Failures;
pub use key::{InvalidKey, NewKey, StaticKey, parse_static};
pub use layer::{Access, Authenticator, Seen, authenticate};
pub use principal::Principal;
pub use ring::{KeyRing, KeySummary, KeyUsed, follow};
