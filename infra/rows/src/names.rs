//! Names of physical tables and views. Their parts are checked
//! ([`domain::ports::rows::check_name`]) before they get here.

use domain::ports::rows::GenerationId;

pub fn table(generation: &GenerationId, table: &str) -> String {
    format!("rows_{}_{}_{table}", generation.projection, generation.number)
}

/// The index by sort key. As long as the table's name at most, so that
/// PostgreSQL does not cut it.
pub fn index(generation: &GenerationId, table: &str) -> String {
    format!("sort_{}_{}_{table}", generation.projection, generation.number)
}

/// The view of a live table; its name stays when another generation goes live.
pub fn view(projection: &str, table: &str) -> String {
    format!("daybook_{projection}_{table}")
}
