//! Columns of instruments, positions, markets and the runs that value them.

use super::ColumnType::{Boolean, Float, Instant, Integer, Json, Text};
use super::{Column, optional, required};
use crate::valuation::{
    fixings, instrument, market_name, market_snapshot, position, position_snapshot, repricing, run,
};

const PART: &[Column] = &[required("part", Integer), required("text", Text)];

const RUN: &[Column] = &[
    required("run_type", Text),
    required("request_sha256", Text),
    required("as_of", Text),
    required("market_snapshot", Text),
    required("at", Integer),
    optional("position_snapshot", Text),
    required("books", Json),
    required("model", Text),
    required("measures", Json),
    required("scenarios", Integer),
    optional("base_currency", Text),
    required("hash_mod", Integer),
    required("lease_seconds", Integer),
    required("max_attempts", Integer),
    required("positions", Integer),
    required("unpriced", Integer),
    required("tasks", Json),
    optional("parameters", Json),
    optional("reprices", Json),
];

pub const COLUMNS: &[(&str, &[Column])] = &[
    (
        instrument::DEFINED,
        &[required("version", Integer), required("product_type", Text), required("terms", Json)],
    ),
    (instrument::APPROVED, &[required("version", Integer)]),
    (instrument::RETIRED, &[]),
    (
        position::OPENED,
        &[
            required("book", Text),
            required("product_type", Text),
            required("quantity", Float),
            optional("instrument_id", Text),
            optional("instrument_version", Integer),
            optional("terms", Json),
            optional("tags", Json),
        ],
    ),
    (
        position::AMENDED,
        &[
            required("product_type", Text),
            required("quantity", Float),
            optional("instrument_id", Text),
            optional("instrument_version", Integer),
            optional("terms", Json),
        ],
    ),
    (position::TRANSFERRED, &[required("from", Text), required("to", Text)]),
    (position::TAGGED, &[required("tags", Json)]),
    (position::CLOSED, &[optional("reason", Text)]),
    (
        market_snapshot::RECORDED,
        &[
            required("sha256", Text),
            optional("name", Text),
            required("as_of", Text),
            optional("vendor", Text),
            optional("content", Json),
            optional("parts", Integer),
        ],
    ),
    (market_snapshot::PART_RECORDED, PART),
    (market_name::GIVEN, &[required("sha256", Text)]),
    (
        position_snapshot::TAKEN,
        &[
            required("at", Integer),
            required("books", Json),
            optional("as_of", Text),
            required("positions", Integer),
            required("sha256", Text),
        ],
    ),
    (run::SCENARIOS_GIVEN, PART),
    (run::STARTED, RUN),
    (
        run::TASK_CLAIMED,
        &[
            required("task", Text),
            required("token", Integer),
            required("worker", Text),
            required("until", Instant),
        ],
    ),
    (run::TASK_EXTENDED, &[required("task", Text), required("token", Integer), required("until", Instant)]),
    (
        run::TASK_COMPLETED,
        &[
            required("task", Text),
            required("token", Integer),
            required("sha256", Text),
            required("bytes", Integer),
            required("rows", Integer),
            required("flagged", Integer),
            required("positions", Integer),
        ],
    ),
    (run::TASK_FAILED, &[required("task", Text), required("token", Integer), required("reason", Text)]),
    (run::TASK_DIED, &[required("task", Text), required("reason", Text)]),
    (run::TASK_RETRIED, &[required("task", Text)]),
    (run::CANCELLED, &[optional("reason", Text)]),
    (
        run::SEALED,
        &[
            required("sha256", Text),
            required("rows", Integer),
            required("flagged", Integer),
            required("bytes", Integer),
        ],
    ),
    (
        repricing::REQUESTED,
        &[required("generation", Integer), required("model", Json), required("runs", Json)],
    ),
    (repricing::ABORTED, &[required("generation", Integer)]),
    (
        repricing::COMPARED,
        &[
            required("generation", Integer),
            required("same", Boolean),
            required("positions", Integer),
            required("changed", Integer),
        ],
    ),
    (repricing::PROMOTED, &[required("generation", Integer), required("runs", Json)]),
    (repricing::ROLLED_BACK, &[required("from", Integer), required("runs", Json)]),
    (fixings::PUBLISHED, &[required("source", Text), required("rates", Json)]),
];
