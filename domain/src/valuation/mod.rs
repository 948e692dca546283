//! What portfolios are valued from: instruments, positions, market snapshots
//! and fixings; and the runs that value them.
//!
//! Terms and markets are JSON that the pricing model reads. Whether a product is
//! supported and a curve can be built is for the model to say; what is recorded
//! here has been looked at by it where it came in, and is checked for shape and
//! size only.

pub mod cells;
pub mod fixings;
pub mod instrument;
pub mod market_name;
pub mod market_snapshot;
pub mod parts;
pub mod portfolio;
pub mod position;
pub mod position_snapshot;
pub mod repricing;
pub mod run;

use serde_json::Value;

use crate::decide::Rejection;
use crate::ids::check_id;

/// Longest text of a product's terms.
pub const MAX_TERMS_BYTES: usize = 256 << 10;

/// A JSON object that is not too long.
fn check_terms(field: &str, terms: &Value) -> Result<(), Rejection> {
    if !terms.is_object() {
        return Err(Rejection::field(field, "must be an object"));
    }
    match terms.to_string().len() > MAX_TERMS_BYTES {
        true => Err(Rejection::field(field, format!("must be at most {MAX_TERMS_BYTES} bytes long"))),
        false => Ok(()),
    }
}

/// A word in capitals, such as `FIXED_BOND`.
fn check_product(product_type: &str) -> Result<(), Rejection> {
    let fine = !product_type.is_empty()
        && product_type.len() <= 40
        && product_type.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    match fine {
        true => Ok(()),
        false => Err(Rejection::field("/product_type", "must be a word in capitals such as FIXED_BOND")),
    }
}

fn check_name(field: &str, id: &str) -> Result<(), Rejection> {
    check_id(id).map_err(|e| Rejection::field(field, e))
}
