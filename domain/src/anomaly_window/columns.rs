//! The payloads as typed columns.

use crate::columns::ColumnType::{Boolean, Float, Instant, Integer, Json, Text};
use crate::columns::{Column, optional, required};

pub const DETECTED: &[Column] = &[
    required("change", Text),
    optional("reason", Text),
    required("window", Text),
    required("rule", Text),
    required("rule_version", Integer),
    optional("key", Text),
    required("app", Text),
    required("start", Instant),
    required("end", Instant),
    required("peak", Json),
    required("score", Float),
    required("severity", Text),
    optional("expected", Json),
    required("observed", Json),
    required("points", Integer),
    required("signal", Integer),
    required("acts", Boolean),
    optional("subjects", Json),
    optional("muted", Boolean),
];

pub const MUTED: &[Column] =
    &[required("rule", Text), optional("key", Text), required("until", Instant), optional("note", Text)];

pub const UNMUTED: &[Column] = &[required("rule", Text), optional("key", Text)];

pub const ACKNOWLEDGED: &[Column] = &[optional("note", Text)];

pub const NOTED: &[Column] = &[required("note", Text)];
