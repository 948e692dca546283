//! The payloads as typed columns.

use crate::columns::ColumnType::{Boolean, Float, Instant, Integer, Json, Text};
use crate::columns::{Column, optional, required};

pub const RACE: &[Column] = &[
    required("series", Text),
    required("season", Integer),
    required("number", Integer),
    optional("name", Text),
    required("track", Text),
    optional("date", Text),
    optional("starts_at", Instant),
    optional("laps", Integer),
    optional("feed_id", Text),
    optional("official", Boolean),
];

pub const KEPT: &[Column] = &[
    required("site", Text),
    required("model", Text),
    required("through", Integer),
    required("seed", Integer),
    required("runs", Integer),
    required("objective", Text),
    required("randomness", Float),
    required("limits", Json),
    optional("contest", Json),
    required("roster", Integer),
    required("drivers", Json),
    required("lineups", Json),
    required("value", Float),
    optional("bound", Float),
    required("proved", Boolean),
];

pub const OBSERVED: &[Column] = &[
    required("at", Instant),
    required("lap", Integer),
    required("laps", Integer),
    optional("flag", Text),
    required("cars", Json),
];

pub const SEALED: &[Column] = &[
    required("site", Text),
    required("model", Text),
    optional("parameters", Json),
    required("through", Integer),
    required("seed", Integer),
    required("runs", Integer),
    required("learned", Integer),
    required("rules", Json),
    required("sha256", Text),
    required("drivers", Json),
];

pub const SESSION: &[Column] =
    &[required("session", Text), required("kind", Text), optional("name", Text), required("cars", Json)];

pub const SCORING: &[Column] = &[
    required("version", Integer),
    required("from", Text),
    required("place", Json),
    required("place_gained", Float),
    required("fastest_lap", Float),
    required("lap_led", Float),
    required("lap_completed", Float),
    required("roster", Integer),
    required("salary_cap", Integer),
];
