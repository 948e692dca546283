//! Rows into a table that has none of them, in PostgreSQL's binary form: it
//! neither reads arrays of them nor looks for each.

use background::Steps;
use domain::ports::rows::{RowPut, RowsError, group_of};
use sqlx::PgConnection;

use super::Fault;
use crate::sql::TableMeta;

/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// The form of a `jsonb` that is its text.
const JSONB_TEXT: &[u8] = &[1];
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// Sent at once.
const BYTES: usize = 32 << 10;

pub async fn rows(
    connection: &mut PgConnection,
    name: &str,
    meta: &TableMeta,
    puts: &[RowPut],
) -> Result<(), Fault> {
    let group = if meta.sorted { ", grp" } else { "" };
    let text = format!("COPY \"{name}\" (tenant, key, sort, doc{group}) FROM STDIN (FORMAT binary)");
    let mut copy = connection.copy_in_raw(&text).await?;
    let mut bytes = Vec::with_capacity(2 * BYTES);
    bytes.extend_from_slice(HEADER);
    let mut steps = Steps::of_nanos(500);
    for put in puts {
        steps.step();
        row(&mut bytes, meta, put)?;
        if bytes.len() >= BYTES {
            copy.send(bytes.as_slice()).await?;
            bytes.clear();
        }
    }
    bytes.extend_from_slice(&TRAILER);
    copy.send(bytes.as_slice()).await?;
    copy.finish().await?;
    Ok(())
}

fn row(bytes: &mut Vec<u8>, meta: &TableMeta, put: &RowPut) -> Result<(), RowsError> {
    let fields: i16 = if meta.sorted { 5 } else { 4 };
    bytes.extend_from_slice(&fields.to_be_bytes());
    field(bytes, &[put.row.tenant.as_str().as_bytes()])?;
    field(bytes, &[put.row.key.as_bytes()])?;
    match &put.sort {
        Some(sort) => field(bytes, &[sort.as_bytes()])?,
        None => bytes.extend_from_slice(&NULL),
    }
    field(bytes, &[JSONB_TEXT, put.doc.as_bytes()])?;
    if meta.sorted {
        field(bytes, &[group_of(&put.row.key).as_bytes()])?;
    }
    Ok(())
}

fn field(bytes: &mut Vec<u8>, parts: &[&[u8]]) -> Result<(), RowsError> {
    let len = i32::try_from(parts.iter().map(|part| part.len()).sum::<usize>());
    let len = len.map_err(|_| RowsError::Invalid("a row is too large".into()))?;
    bytes.extend_from_slice(&len.to_be_bytes());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Ok(())
}
