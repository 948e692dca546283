//! How far an input can be relied on.

use serde::{Deserialize, Serialize};

/// From the best to the worst. What is computed has the worst quality of what
/// it was computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// As observed.
    #[default]
    #[serde(alias = "OK", alias = "PASS", alias = "pass")]
    Ok,
    /// Made from its neighbours.
    Interpolated,
    /// Of something similar.
    Proxy,
    /// Observed, but too long ago.
    #[serde(alias = "WARN", alias = "warn")]
    Stale,
    /// Not there, or known to be incomplete.
    #[serde(alias = "FAIL", alias = "fail")]
    Missing,
}

impl Quality {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Interpolated => "interpolated",
            Self::Proxy => "proxy",
            Self::Stale => "stale",
            Self::Missing => "missing",
        }
    }
}
