//! Columns of webhook endpoints and of what was delivered to them.

use super::ColumnType::{Instant, Integer, Json, Text};
use super::{Column, optional, personal, required};
use crate::{delivery, endpoint, personal as sealed};

const SCHEDULED: &[Column] = &[
    required("endpoint", Text),
    required("cause", Integer),
    required("cause_id", Text),
    required("cause_type", Text),
    optional("signal", Integer),
    optional("app", Text),
    optional("rule", Text),
    optional("rule_version", Integer),
    optional("key", Text),
    required("due_at", Instant),
];

const ATTEMPTED: &[Column] = &[
    required("endpoint", Text),
    required("cause", Integer),
    required("attempt", Integer),
    required("at", Instant),
    required("latency_ms", Integer),
    optional("status", Integer),
    optional("error", Text),
    optional("detail", Text),
    optional("excerpt", Text),
    optional("next_at", Instant),
];

pub const COLUMNS: &[(&str, &[Column])] = &[
    (
        endpoint::CREATED,
        &[
            required("endpoint", Text),
            required("definition", Json),
            personal("secret"),
            optional("public_key", Text),
            personal("credential"),
            personal("headers"),
            optional(sealed::MEMBER, Json),
        ],
    ),
    (
        endpoint::CHANGED,
        &[
            required("endpoint", Text),
            required("definition", Json),
            personal("credential"),
            personal("headers"),
            optional(sealed::MEMBER, Json),
        ],
    ),
    (
        endpoint::SECRET_ROTATED,
        &[
            required("endpoint", Text),
            personal("secret"),
            optional("public_key", Text),
            required("overlap_until", Instant),
            optional(sealed::MEMBER, Json),
        ],
    ),
    (endpoint::PAUSED, &[optional("reason", Text)]),
    (endpoint::RESUMED, &[]),
    (endpoint::DISABLED, &[required("by", Text), optional("since", Instant)]),
    (endpoint::DELETED, &[]),
    (endpoint::TESTED, &[]),
    (delivery::SCHEDULED, SCHEDULED),
    (delivery::ATTEMPTED, ATTEMPTED),
    (
        delivery::DELIVERED,
        &[required("endpoint", Text), required("cause", Integer), required("attempts", Integer)],
    ),
    (
        delivery::DEAD,
        &[
            required("endpoint", Text),
            required("cause", Integer),
            required("attempts", Integer),
            required("reason", Text),
        ],
    ),
    (
        delivery::REQUESTED_AGAIN,
        &[required("endpoint", Text), required("cause", Integer), required("due_at", Instant)],
    ),
    (delivery::ADVANCED, &[required("position", Integer)]),
    (delivery::LIVE_FROM, &[required("position", Integer)]),
];
