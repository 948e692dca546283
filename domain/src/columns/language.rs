//! Columns of what language models outside this process were asked.

use super::ColumnType::{Instant, Integer, Json, Text};
use super::{Column, optional, personal, required};
use crate::{embedding, language_use, personal as sealed, rewrite};

const EMBEDDED: &[Column] = &[
    required("subject", Text),
    required("provider", Text),
    required("model", Text),
    optional("digest", Text),
    required("dimension", Integer),
    required("normalisation", Text),
    required("bytes", Integer),
    personal("vector"),
    optional(sealed::MEMBER, Json),
];

const SENT: &[Column] = &[
    required("call", Text),
    required("purpose", Text),
    required("asked_by", Text),
    required("provider", Text),
    required("model", Text),
    required("sample", Text),
    required("bytes", Integer),
    required("attempts", Integer),
    required("tokens", Integer),
];

const REQUESTED: &[Column] = &[
    required("sample", Text),
    required("author_id", Text),
    required("controls", Json),
    required("candidates", Integer),
    required("seed", Integer),
    required("asked_by", Text),
];

const COMPLETED: &[Column] = &[
    required("subject", Text),
    personal("text"),
    required("chosen", Integer),
    required("candidates", Json),
    required("before", Json),
    required("meaning", Text),
    required("rules", Text),
    required("instructions_sha256", Text),
    required("fingerprint", Text),
    required("provider", Text),
    required("model", Text),
    optional("digest", Text),
    optional("warnings", Json),
    optional(sealed::MEMBER, Json),
];

pub const COLUMNS: &[(&str, &[Column])] = &[
    (embedding::RECORDED, EMBEDDED),
    (language_use::TEXT_SENT, SENT),
    (
        language_use::ANSWERED,
        &[required("call", Text), required("outcome", Text), optional("tokens", Integer)],
    ),
    (rewrite::REQUESTED, REQUESTED),
    (rewrite::STARTED, &[required("attempt", Integer), required("until", Instant)]),
    (rewrite::COMPLETED, COMPLETED),
    (rewrite::FAILED, &[required("code", Text), required("reason", Text)]),
];
