//! Rows as values of their own types, and as they are stored.

use std::any::Any;
use std::io;

use domain::ports::rows::{RowKey, RowPut};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::projection::ApplyError;

/// A row of a table. All rows of one key have one type.
pub trait Row: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Orders rows of a sorted table, greatest first. Pad numbers with zeros.
    fn sort_key(&self) -> Option<String> {
        None
    }

    /// Bytes that the value takes in memory, with what it owns, about.
    fn memory(&self) -> usize {
        let mut text = Length(0);
        // Counting cannot fail; a row that is no JSON fails when it is stored.
        let _ = serde_json::to_writer(&mut text, self);
        size_of::<Self>() + 2 * text.0
    }
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) trait Slot: Any + Send + Sync {
    fn to_json(&self) -> Result<String, serde_json::Error>;
    fn sort(&self) -> Option<String>;
    fn memory(&self) -> usize;
}

impl<T: Row> Slot for T {
    fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
    fn sort(&self) -> Option<String> {
        self.sort_key()
    }
    fn memory(&self) -> usize {
        Row::memory(self)
    }
}

/// PostgreSQL keeps no NUL in text; it becomes U+FFFD on every store alike.
/// True if that was so.
pub(super) fn put(row: RowKey, slot: &dyn Slot) -> Result<(RowPut, bool), ApplyError> {
    let doc = slot.to_json().map_err(|e| no_json(&row, &e))?;
    Ok(stored(row, doc, slot.sort()))
}

fn no_json(row: &RowKey, error: &serde_json::Error) -> ApplyError {
    ApplyError::Event(format!("row {} is no JSON: {error}", row.key))
}

fn stored(row: RowKey, mut doc: String, sort: Option<String>) -> (RowPut, bool) {
    let differs = doc.contains("\\u0000");
    if differs {
        doc = without_nul(&doc);
    }
    let sort = sort.map(|s| if s.contains('\0') { s.replace('\0', "\u{fffd}") } else { s });
    (RowPut { row, sort, doc }, differs)
}

/// A row as it is stored.
pub(crate) fn put_of<T: Row>(row: RowKey, value: &T) -> Result<RowPut, ApplyError> {
    super::check_key(&row.key)?;
    Ok(put(row, value)?.0)
}

/// The same for a row that is not sorted, of what it borrows. Texts are put
/// together in `scratch`, which is large enough after a few.
pub(crate) fn put_borrowed(
    row: RowKey,
    value: &impl Serialize,
    scratch: &mut Vec<u8>,
) -> Result<RowPut, ApplyError> {
    super::check_key(&row.key)?;
    scratch.clear();
    serde_json::to_writer(&mut *scratch, value).map_err(|e| no_json(&row, &e))?;
    // JSON is UTF-8.
    let doc = String::from_utf8_lossy(scratch).into_owned();
    Ok(stored(row, doc, None).0)
}

/// Replaces the escape `\u0000` where the backslash is not itself escaped.
fn without_nul(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (escape, after) = match rest[at..].strip_prefix("\\u0000") {
            Some(after) => ("\u{fffd}", after),
            // An escape is at least two bytes, both ASCII.
            None => rest[at..].split_at(2),
        };
        out.push_str(escape);
        rest = after;
    }
    out.push_str(rest);
    out
}
