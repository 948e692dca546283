//! The count at the end: the log against the writers' notes.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use domain::ports::log::ReadFilter;
use domain::tree::Frontier;
use uuid::Uuid;

use super::Log;

#[derive(Debug, Default)]
pub struct Report {
    pub events: u64,
    pub acknowledged: u64,
    pub refused: u64,
    pub kills: u32,
    pub restarts: u32,
    /// Positions that a polling reader passed over, or that are not there.
    pub skipped: u64,
    /// Events that are in the log more than once.
    pub duplicated: u64,
    /// Acknowledged and not where the acknowledgement said.
    pub lost: u64,
    /// Wrong leaves, versions, answers and tree; refused and recorded all the same.
    pub wrong: u64,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.skipped + self.duplicated + self.lost + self.wrong == 0 && self.acknowledged > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} writer processes killed, Postgres restarted {} times", self.kills, self.restarts)?;
        writeln!(
            f,
            "{} events in the log, {} acknowledged, {} refused",
            self.events, self.acknowledged, self.refused
        )?;
        write!(
            f,
            "skipped {}, duplicated {}, lost {}, wrong {}; positions 1…{}",
            self.skipped, self.duplicated, self.lost, self.wrong, self.events
        )
    }
}

pub(super) async fn check(log: &dyn Log, notes: &Path) -> Result<Report> {
    let mut report = Report::default();
    let mut positions: HashMap<Uuid, u64> = HashMap::new();
    let mut versions = HashMap::new();
    let (mut tree, mut nodes) = (Frontier::default(), Vec::new());
    let mut after = 0;
    loop {
        let page = log.read(after, 5_000, &ReadFilter::default()).await?;
        let Some(last) = page.events.last() else { break };
        after = last.position;
        for event in page.events {
            report.events += 1;
            report.skipped += u64::from(event.position != report.events);
            report.duplicated += u64::from(positions.insert(event.event_id, event.position).is_some());
            report.wrong += u64::from(event.leaf != event.compute_leaf());
            tree.push(&event.leaf, &mut nodes);
            let version = versions.entry(event.stream).or_insert(0);
            *version += 1;
            report.wrong += u64::from(event.version != *version);
        }
    }
    report.wrong += u64::from(log.frontier().await? != tree);
    for node in nodes {
        let kept = log.nodes(node.level, node.index, 1).await;
        report.wrong += u64::from(kept != Ok(vec![node.hash]));
    }
    for file in std::fs::read_dir(notes)? {
        compare(&std::fs::read_to_string(file?.path())?, &positions, &mut report)?;
    }
    Ok(report)
}

fn compare(notes: &str, positions: &HashMap<Uuid, u64>, report: &mut Report) -> Result<()> {
    let mut acknowledged = HashSet::new();
    for line in notes.split_inclusive('\n') {
        // Cut short by the kill: the note was not finished.
        let Some(line) = line.strip_suffix('\n') else { continue };
        let (sign, rest) = line.split_once(' ').context("a note without a sign")?;
        match sign {
            "+" => {
                let (event, position) = rest.split_once(' ').context("a note without a position")?;
                let event: Uuid = event.parse()?;
                report.acknowledged += 1;
                report.lost += u64::from(positions.get(&event).copied() != position.parse().ok());
                report.duplicated += u64::from(!acknowledged.insert(event));
            }
            "-" => {
                report.refused += 1;
                report.wrong += u64::from(positions.contains_key(&rest.parse()?));
            }
            _ => {
                eprintln!("{line}");
                report.wrong += 1;
            }
        }
    }
    Ok(())
}
