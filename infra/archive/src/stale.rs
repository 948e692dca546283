//! Segments that were sealed before a type's columns changed. Their typed
//! columns are made anew from the payload's text, through the upcasters; so a
//! reader always sees today's columns.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use background::Steps;
use domain::personal::MEMBER;
use domain::ports::archive::ArchiveError;
use domain::registry;

use crate::decode::Events;
use crate::file::SegmentFile;
use crate::manifest::Segment;
use crate::rows::Rows;
use crate::schema;

/// Whether one of these columns is not in the file as it would be today.
pub fn is(file: &SegmentFile, columns: &[String]) -> bool {
    let event_type = &file.segment.event_type;
    let today = schema::fields_of(event_type);
    let changed = !registry::reads_as_today(event_type, file.segment.schema);
    columns.iter().filter_map(|c| c.strip_prefix(schema::PREFIX)).any(|name| {
        // Nothing was sealed before there was a column for it.
        let known = name != MEMBER && today.iter().any(|c| c.name == name);
        known && (changed || !file.has(&format!("{}{name}", schema::PREFIX)))
    })
}

/// What [`renew`] reads.
pub fn needs() -> Vec<String> {
    schema::ENVELOPE.map(str::to_owned).into()
}

pub fn renew(
    batch: &RecordBatch,
    segment: &Segment,
    columns: &[String],
    dictionaries: bool,
) -> Result<RecordBatch, ArchiveError> {
    let object = &segment.path;
    let damaged = |reason: String| ArchiveError::Damaged { object: object.clone(), reason };
    let mut events = Events::new(batch, object)?;
    let mut rows = Rows::new(&segment.event_type);
    let mut steps = Steps::of_nanos(3_000);
    for row in 0..batch.num_rows() {
        steps.step();
        rows.push(&events.event(row, object)?)?;
    }
    let all = rows.take()?;
    let schema = all.schema();
    let wanted = schema.fields().iter().zip(all.columns()).filter(|(f, _)| columns.contains(f.name()));
    let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = wanted
        .map(|(field, array)| match array.as_string_opt::<i32>() {
            Some(texts) if dictionaries && schema::repeats(field.name()) => {
                let texts: DictionaryArray<Int32Type> = texts.iter().collect();
                (schema::dictionary(field), Arc::new(texts) as ArrayRef)
            }
            _ => (field.as_ref().clone(), array.clone()),
        })
        .unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(|e| damaged(e.to_string()))
}

/// A field as a reader with dictionaries sees it.
pub fn as_dictionary(field: &Field) -> Field {
    match *field.data_type() == DataType::Utf8 && schema::repeats(field.name()) {
        true => schema::dictionary(field),
        false => field.clone(),
    }
}
