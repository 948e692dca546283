//! The benchmark's files as text: labelled windows and plain series.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::series::{Point, SeriesError, parse, parse_instant};

/// The labelled windows of a corpus, by file.
#[derive(Debug, Clone)]
pub struct Corpus {
    windows: BTreeMap<String, Vec<(i64, i64)>>,
}

/// A series with its windows as rows.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// Folder and file, as the labels name it
    pub name: String,
    /// The points in the order of the file
    pub points: Vec<Point>,
    /// First and last row of each window
    pub windows: Vec<RangeInclusive<usize>>,
}

/// Why a corpus can't be read.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// The labels are not what the benchmark writes
    #[error("labels: {0}")]
    Labels(String),
    /// There are no labels of a file
    #[error("{0} has no labels")]
    Unlabelled(String),
    /// A series can't be read
    #[error("{0}: {1}")]
    Series(String, SeriesError),
}

impl Corpus {
    /// Reads `combined_windows.json`.
    pub fn parse(labels: &str) -> Result<Self, CorpusError> {
        let named: BTreeMap<String, Vec<(String, String)>> =
            serde_json::from_str(labels).map_err(|e| CorpusError::Labels(e.to_string()))?;
        let instant = |text: &str| {
            parse_instant(text).ok_or_else(|| CorpusError::Labels(format!("{text:?} is not an instant")))
        };
        let mut windows = BTreeMap::new();
        for (name, pairs) in named {
            let pairs: Result<Vec<_>, _> =
                pairs.iter().map(|(from, to)| Ok((instant(from)?, instant(to)?))).collect();
            windows.insert(name, pairs?);
        }
        Ok(Self { windows })
    }

    /// The files that have labels.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.windows.keys().map(String::as_str)
    }

    /// Reads a series and finds the rows of its windows.
    pub fn labelled(&self, name: &str, csv: &str) -> Result<Labelled, CorpusError> {
        let windows = self.windows.get(name).ok_or_else(|| CorpusError::Unlabelled(name.into()))?;
        let points = parse(csv).map_err(|e| CorpusError::Series(name.into(), e))?.points;
        let rows = windows.iter().filter_map(|(from, to)| {
            let first = points.iter().position(|p| p.at >= *from)?;
            let last = points.iter().rposition(|p| p.at <= *to)?;
            (first <= last).then_some(first..=last)
        });
        Ok(Labelled { name: name.into(), windows: rows.collect(), points })
    }
}
