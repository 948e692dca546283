//! What the model is told of a race: before it, and after it.

use jiff::civil::Date;
use serde::Serialize;

use crate::track::Kind;

/// A race before the green flag.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Race {
    /// The id that the caller knows it by.
    pub id: String,
    /// Calendar year of the season.
    pub season: i16,
    /// The day of the race where known.
    pub date: Option<Date>,
    /// The track's id, equal for all its spellings ([`crate::track::find`]).
    pub track: String,
    /// How the track races.
    pub kind: Kind,
    /// Laps it is scheduled for; `None`: as many as last time at this track.
    pub laps: Option<u32>,
    /// Who drives.
    pub entries: Vec<Entry>,
}

/// A car on the entry list.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Entry {
    /// [`crate::name::key`] of the driver.
    pub driver: String,
    /// The team, where known.
    pub team: Option<String>,
    /// The car's number as text: `07` is not `7`.
    pub car: Option<String>,
    /// Make of the car.
    pub make: Option<String>,
    /// Place on the grid, from 1; `None` before qualifying.
    pub start: Option<u32>,
}

/// How a car's race ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum End {
    /// It took the flag.
    Running,
    /// Out by an accident, or by damage that could not be repaired in time.
    Accident,
    /// Out by something that broke.
    Mechanical,
}

impl End {
    /// From the word that results have.
    pub fn parse(status: &str) -> Self {
        match status.trim().to_ascii_lowercase().as_str() {
            // A car taken out of the results afterwards had still run.
            "running" | "disqualified" => Self::Running,
            "accident" | "crash" | "dvp" | "damage" => Self::Accident,
            _ => Self::Mechanical,
        }
    }
}

/// What one car did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Place at the end, from 1, each once.
    pub finish: u32,
    /// Laps completed.
    pub laps: u32,
    /// Laps led.
    pub led: u32,
    /// Laps in which it was the fastest car; `None` where loop data is missing.
    pub fastest: Option<u32>,
    /// The series' driver rating, 0–150.
    pub rating: Option<f64>,
    /// Whether and why it dropped out.
    pub end: End,
}
