//! Forms of files, told by their headers.

use anyhow::{Result, bail};

use super::rows::Table;

/// In the order in which files of several forms are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Timing: grid, crossing of the line, loop data.
    Loop,
    /// Official results of the series with team, car and make.
    Results,
    /// As results, before the race: who drives and where from.
    Entries,
    /// Salaries by race, driver and site.
    Salaries,
    /// Points that follow from the others; nothing of them is imported.
    Derived,
}

impl Form {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loop => "loop data",
            Self::Results => "results",
            Self::Entries => "entries",
            Self::Salaries => "salaries",
            Self::Derived => "derived points",
        }
    }

    pub fn of(table: &Table) -> Result<Self> {
        let has = |names: &[&str]| names.iter().all(|name| table.has(name));
        if has(&["season", "race", "track_name", "driver_name", "start", "finish", "laps_led", "rating"]) {
            Ok(Self::Loop)
        } else if has(&["season", "race", "track", "driver", "start", "finish", "laps", "led", "status"]) {
            Ok(Self::Results)
        } else if has(&["season", "race_num", "driver", "platform", "salary"]) {
            Ok(Self::Salaries)
        } else if has(&["season", "race", "driver_id", "dk_points_official"]) {
            Ok(Self::Derived)
        } else if has(&["season", "race", "track", "driver"]) {
            Ok(Self::Entries)
        } else {
            bail!("the header is of no form that is known");
        }
    }
}
