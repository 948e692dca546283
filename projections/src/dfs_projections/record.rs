//! The calibration record: sealed projections of many races together.

use models_fantasy::backtest::{Score, Summary, groups, summarise};
use models_fantasy::measure::{Bin, reliability};
use serde::Serialize;

use super::ScoreRow;

/// Bounds are drawn with it, so that the same record reads the same.
const SEED: u64 = 1;

/// Accuracy over one group of races.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// `all`, `without superspeedways`, a kind of track or a season.
    pub group: String,
    #[serde(flatten)]
    pub summary: Summary,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    pub groups: Vec<Group>,
    /// Pairs of cars by the chance that was said.
    pub reliability: Vec<Bin>,
}

/// The record over these races, of one site and model.
pub fn record(rows: &[ScoreRow]) -> Record {
    let scores: Vec<Score> = rows.iter().map(|row| row.score.clone()).collect();
    let group =
        |(group, scores): (String, Vec<&Score>)| Some(Group { group, summary: summarise(&scores, SEED)? });
    Record {
        groups: groups(&scores).into_iter().filter_map(group).collect(),
        reliability: reliability(scores.iter().flat_map(|score| score.margins.iter().copied())),
    }
}
