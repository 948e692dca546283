//! What the style of samples says: models fitted to known texts, and texts
//! judged by them. Pure functions of samples as they are folded; the command
//! line and the HTTP API answer with the same figures.

mod analysis;
mod more;
mod page;
mod register;
mod shapes;
mod toward;

pub use analysis::{Asked, Reference, StyleError, candidate, judged};
pub use more::{Grouped, GroupedText, Indicated, Rolled, grouped, indicated};
pub use page::{grouped_page, page};
pub use shapes::{Compared, Judged, Matrix, Register, Report, Verified, VerifiedCandidate, named};
pub use toward::{Difference, differences, distance};
