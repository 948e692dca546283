//! Stock-car races as fantasy players see them: races, the drivers and tracks
//! they name, and what sites pay for.
//!
//! Drivers are public persons known by their sport; what is recorded of them
//! is their published results, and none of it is sealed.

pub mod columns;
pub mod driver;
pub mod lineups;
pub mod live;
pub mod race;
pub mod scoring;
pub mod track;

use crate::decide::Rejection;

/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 120;

/// Text that people read: not empty, not too long, no control characters.
pub(crate) fn check_name(field: &str, text: &str) -> Result<(), Rejection> {
    if text.is_empty() || text.len() > MAX_NAME_BYTES || text.chars().any(char::is_control) {
        let reason = format!("must be 1 to {MAX_NAME_BYTES} bytes without control characters");
        return Err(Rejection::field(field, reason));
    }
    Ok(())
}
