//! Rules as they are, and what they matched, newest first.

use domain::RecordedEvent;
use domain::decide::Decide;
use domain::ports::rows::{Column, ColumnKind, ModelId, RowKey, TableSpec};
use domain::registry::{decode, decode_payload};
use domain::rule::{self, Definition, Rule};
use domain::rule_match::{MATCHED, RuleMatch};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::directory::advance;
use crate::projection::{ApplyError, Projection, Wanted};
use crate::signals::newest_first;
use crate::working_set::{Row, Rows};

pub const NAME: &str = "rules";
/// Key: the rule's id.
pub const RULES: &str = "rules";
/// Key: `<rule>/`[`newest_first`].
pub const MATCHES: &str = "matches";
/// Key: the rule's id.
pub const COUNTS: &str = "counts";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleRow {
    pub id: String,
    /// Of the rule's stream, for `If-Match`.
    pub version: u64,
    /// What matches name.
    pub rule_version: u32,
    pub enabled: bool,
    pub archived: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Definition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchRow {
    pub position: u64,
    #[serde(flatten)]
    pub found: RuleMatch,
    /// Event time of the signal, else when it was received.
    pub at: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountRow {
    pub matches: u64,
    pub acted: u64,
    pub last_position: u64,
}

impl Row for RuleRow {}
impl Row for MatchRow {}
impl Row for CountRow {}

const TABLES: &[TableSpec] = &[
    TableSpec {
        name: RULES,
        sorted: false,
        columns: &[
            Column { name: "name", path: "definition.name", kind: ColumnKind::Text },
            Column { name: "enabled", path: "enabled", kind: ColumnKind::Boolean },
            Column { name: "archived", path: "archived", kind: ColumnKind::Boolean },
            Column { name: "rule_version", path: "rule_version", kind: ColumnKind::Integer },
        ],
    },
    TableSpec {
        name: MATCHES,
        sorted: false,
        columns: &[
            Column { name: "rule", path: "rule", kind: ColumnKind::Text },
            Column { name: "signal", path: "signal", kind: ColumnKind::Integer },
            Column { name: "app", path: "app", kind: ColumnKind::Text },
            Column { name: "type", path: "type", kind: ColumnKind::Text },
            Column { name: "acts", path: "acts", kind: ColumnKind::Boolean },
            Column { name: "at", path: "at", kind: ColumnKind::Time },
        ],
    },
    TableSpec {
        name: COUNTS,
        sorted: false,
        columns: &[
            Column { name: "matches", path: "matches", kind: ColumnKind::Integer },
            Column { name: "acted", path: "acted", kind: ColumnKind::Integer },
        ],
    },
];

pub struct Rules;

impl Projection for Rules {
    fn name(&self) -> &'static str {
        NAME
    }

    fn model(&self) -> ModelId {
        ModelId::new(NAME, 1)
    }

    fn event_types(&self) -> &'static [&'static str] {
        &[rule::DEFINED, rule::CHANGED, rule::ENABLED, rule::DISABLED, rule::ARCHIVED, MATCHED]
    }

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    fn prefetch(&self, event: &RecordedEvent, want: &mut Wanted) {
        if *event.event_type != *MATCHED {
            want.row(RULES, &event.stream.tenant, &event.stream.id);
        } else if let Ok(found) = decode_payload::<RuleMatch>(event) {
            want.row(COUNTS, &event.stream.tenant, &found.rule);
        }
    }

    /// Matches of a rule count in one row.
    fn partition(&self, event: &RecordedEvent) -> String {
        let rule = match *event.event_type == *MATCHED {
            true => decode_payload::<RuleMatch>(event).map(|found| found.rule).unwrap_or_default(),
            false => event.stream.id.to_string(),
        };
        format!("{}/{rule}", event.stream.tenant)
    }

    fn apply(&self, rows: &mut Rows, event: &RecordedEvent) -> Result<(), ApplyError> {
        let tenant = &event.stream.tenant;
        if *event.event_type == *MATCHED {
            let found: RuleMatch = decode_payload(event)?;
            let count: &mut CountRow = rows.entry_or_default(COUNTS, tenant, &found.rule)?;
            *count = CountRow {
                matches: count.matches + 1,
                acted: count.acted + u64::from(found.acts),
                last_position: event.position,
            };
            let key = format!("{}/{}", found.rule, newest_first(event.position));
            rows.put(MATCHES, tenant, &key, MatchRow { position: event.position, found, at: event.at() })?;
            return Ok(());
        }
        let change: rule::Event = decode(event)?;
        let row: &mut RuleRow = rows.entry_or_default(RULES, tenant, &event.stream.id)?;
        advance(&mut row.version, event)?;
        let mut state = Rule {
            definition: row.definition.take(),
            enabled: row.enabled,
            archived: row.archived,
            version: row.rule_version,
        };
        state.evolve(change);
        *row = RuleRow {
            id: event.stream.id.to_string(),
            version: row.version,
            rule_version: state.version,
            enabled: state.enabled,
            archived: state.archived,
            definition: state.definition,
        };
        Ok(())
    }

    fn related(&self, event: &RecordedEvent, table: &str, row: &RowKey) -> bool {
        match (*event.event_type == *MATCHED, table) {
            (true, MATCHES) => row.key.ends_with(&newest_first(event.position)),
            (true, COUNTS) => decode_payload::<RuleMatch>(event).is_ok_and(|m| *m.rule == *row.key),
            (false, RULES) => event.stream.id == row.key,
            _ => false,
        }
    }
}
