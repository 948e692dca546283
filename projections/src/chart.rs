//! The picture that a model's rows naturally make.

/// A line over time (or another number) for each value of `group`: what
/// reports of comparisons draw.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chart {
    pub title: &'static str,
    pub table: &'static str,
    /// A member of the document: an RFC 3339 text or a number. Rows of a group
    /// stand together and ascend in it when they are in key order.
    pub x: &'static str,
    /// A number. Where points fall together it is summed up.
    pub y: &'static str,
    /// A member that tells lines apart; all rows of a tenant are one without.
    pub group: Option<&'static str>,
    /// The least distance of two points. A greater one means zero between.
    pub step: f64,
}
