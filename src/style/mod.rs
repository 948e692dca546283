//! Writing samples from files: the work behind `daybook style` and `daybook
//! import texts`.

mod collect;
mod frequencies;
pub mod pdf;

pub use collect::{Collected, Folder, Outcome, Submitter, collect, label_of, read_file};
pub use frequencies::Frequencies;
