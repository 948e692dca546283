//! Events of one type to the bytes of a segment. The same events make the same
//! bytes, so that whoever was interrupted writes the same file again.

use bytes::Bytes;
use domain::RecordedEvent;
use domain::ports::archive::ArchiveError;
use jiff::Timestamp;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::manifest::Segment;
use crate::rows::{BATCH_ROWS, Rows};
use crate::{hash, names, schema};

/// Sixteen batches.
pub const ROW_GROUP_ROWS: usize = 16 * BATCH_ROWS;
/// Bytes after which a row group ends before.
const ROW_GROUP_BYTES: usize = 128 << 20;
const CREATED_BY: &str = "daybook-archive/1";
/// Checksums of the column chunks, row group by row group, in the footer.
pub const CHUNKS_KEY: &str = "daybook.chunks";

/// A segment's bytes and what the manifest says about them.
#[derive(Debug)]
pub struct Encoded {
    pub bytes: Bytes,
    pub segment: Segment,
}

pub struct Encoder {
    event_type: String,
    rows: Rows,
    writer: ArrowWriter<Vec<u8>>,
    seen: Option<Seen>,
}

struct Seen {
    events: u64,
    last: u64,
    recorded_from: Timestamp,
    recorded_to: Timestamp,
}

impl Encoder {
    pub fn new(event_type: &str) -> Result<Self, ArchiveError> {
        let schema = schema::of_type(event_type);
        let writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties()?)).map_err(unwritable)?;
        Ok(Self { event_type: event_type.to_owned(), rows: Rows::new(event_type), writer, seen: None })
    }

    /// Takes events by position. One whose leaf is not the hash of what it says
    /// is refused.
    pub fn push(&mut self, event: &RecordedEvent) -> Result<(), ArchiveError> {
        let position = event.position;
        if event.compute_leaf() != event.leaf {
            return Err(ArchiveError::Log(format!(
                "the event at position {position} does not match its leaf"
            )));
        }
        if self.seen.as_ref().is_some_and(|seen| seen.last >= position) {
            return Err(ArchiveError::Log(format!("position {position} came out of order")));
        }
        let at = event.recorded_at;
        let seen = self.seen.get_or_insert(Seen { events: 0, last: 0, recorded_from: at, recorded_to: at });
        (seen.events, seen.last) = (seen.events + 1, position);
        // Whatever the clocks did, both ends of the time are right.
        (seen.recorded_from, seen.recorded_to) = (seen.recorded_from.min(at), seen.recorded_to.max(at));
        self.rows.push(event)?;
        if self.rows.is_full() {
            self.writer.write(&self.rows.take()?).map_err(unwritable)?;
        }
        Ok(())
    }

    /// Bytes so far, about.
    pub fn size(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size() + self.rows.bytes()) as u64
    }

    /// The segment for the positions `first..=last`. `None` without events.
    pub fn finish(mut self, first: u64, last: u64) -> Result<Option<Encoded>, ArchiveError> {
        let Some(seen) = self.seen else { return Ok(None) };
        if !self.rows.is_empty() {
            self.writer.write(&self.rows.take()?).map_err(unwritable)?;
        }
        self.writer.flush().map_err(unwritable)?;
        self.writer.sync().map_err(|e| unwritable(e.into()))?;
        let checksums = checksums(&self.writer);
        self.writer.append_key_value_metadata(KeyValue::new(CHUNKS_KEY.to_owned(), checksums));
        let bytes = Bytes::from(self.writer.into_inner().map_err(unwritable)?);
        let footer = footer_length(&bytes).ok_or_else(|| unwritable(ParquetError::EOF("footer".into())))?;
        let segment = Segment {
            path: names::segment(&self.event_type, first, last),
            schema: schema::current(&self.event_type),
            event_type: self.event_type,
            first,
            last,
            events: seen.events,
            bytes: bytes.len() as u64,
            sha256: hex::encode(hash(&bytes)),
            footer_bytes: footer as u64,
            footer_sha256: hex::encode(hash(&bytes[bytes.len() - footer..])),
            recorded_from: seen.recorded_from,
            recorded_to: seen.recorded_to,
        };
        Ok(Some(Encoded { bytes, segment }))
    }
}

/// Parquet has a place for checksums of pages that nobody fills in, so each
/// column chunk has its own here: whoever reads a few columns checks those.
fn checksums(writer: &ArrowWriter<Vec<u8>>) -> String {
    let bytes = writer.inner();
    let mut all = String::new();
    for column in writer.flushed_row_groups().iter().flat_map(|group| group.columns()) {
        let (start, length) = column.byte_range();
        let chunk = &bytes[start as usize..(start + length) as usize];
        all.push_str(&format!("{:08x}", crc32fast::hash(chunk)));
    }
    all
}

/// Thrift, its length in four bytes, and the magic.
fn footer_length(bytes: &[u8]) -> Option<usize> {
    let (rest, _magic) = bytes.split_last_chunk::<4>()?;
    let (_, length) = rest.split_last_chunk::<4>()?;
    let footer = usize::try_from(u32::from_le_bytes(*length)).ok()? + 8;
    (footer <= bytes.len()).then_some(footer)
}

pub fn properties() -> Result<WriterProperties, ArchiveError> {
    let column = |name: &str| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(unwritable)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        }]))
        .set_column_bloom_filter_fpp(column("stream"), 0.01)
        .set_column_bloom_filter_max_ndv(column("stream"), ROW_GROUP_ROWS as u64);
    for name in ["position", "version", "occurred_at", "recorded_at"] {
        properties = properties
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    // Every value is another one, and nobody searches for a range of them.
    for name in ["event_id", "payload", "leaf"] {
        properties = properties
            .set_column_dictionary_enabled(column(name), false)
            .set_column_statistics_enabled(column(name), EnabledStatistics::None);
    }
    Ok(properties.build())
}

pub fn unwritable(error: ParquetError) -> ArchiveError {
    ArchiveError::Log(format!("a file cannot be written: {error}"))
}
