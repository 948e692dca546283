//! One segment as a file: its footer, and some columns of some row groups,
//! each checked against what was sealed before it is decoded.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bytes::{Buf, Bytes};
use domain::ports::archive::ArchiveError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;

use crate::encode::CHUNKS_KEY;
use crate::manifest::Segment;
use crate::rows::BATCH_ROWS;
use crate::{ArchiveStore, hash, stale};

pub struct SegmentFile {
    pub segment: Segment,
    metadata: Arc<ParquetMetaData>,
    /// Checksums of column chunks, row group by row group.
    chunks: Vec<u32>,
}

fn damaged(segment: &Segment, reason: impl std::fmt::Display) -> ArchiveError {
    ArchiveError::Damaged { object: segment.path.clone(), reason: reason.to_string() }
}

impl SegmentFile {
    pub async fn open(store: &ArchiveStore, segment: &Segment) -> Result<Self, ArchiveError> {
        let start = segment.bytes.saturating_sub(segment.footer_bytes);
        let parts = store.get_ranges(segment, std::slice::from_ref(&(start..segment.bytes))).await?;
        Self::parse(segment, &parts.into_iter().next().unwrap_or_default())
    }

    /// Over a whole file that has been checked.
    pub fn of(segment: &Segment, bytes: &Bytes) -> Result<Self, ArchiveError> {
        let footer = usize::try_from(segment.footer_bytes).unwrap_or(usize::MAX).min(bytes.len());
        Self::parse(segment, &bytes.slice(bytes.len() - footer..))
    }

    fn parse(segment: &Segment, footer: &Bytes) -> Result<Self, ArchiveError> {
        if hex::encode(hash(footer)) != segment.footer_sha256 {
            return Err(damaged(segment, "its footer is not the one that was sealed"));
        }
        let thrift = &footer[..footer.len().saturating_sub(8)];
        let metadata = ParquetMetaDataReader::decode_metadata(thrift).map_err(|e| damaged(segment, e))?;
        let chunks = checksums(&metadata).ok_or_else(|| damaged(segment, "it has no checksums"))?;
        Ok(Self { segment: segment.clone(), metadata: Arc::new(metadata), chunks })
    }

    pub fn row_groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// First and last position in a row group.
    pub fn positions(&self, group: usize) -> Result<(u64, u64), ArchiveError> {
        match self.metadata.row_group(group).column(0).statistics() {
            Some(Statistics::Int64(s)) => s
                .min_opt()
                .zip(s.max_opt())
                .map(|(min, max)| (min.cast_unsigned(), max.cast_unsigned()))
                .ok_or_else(|| damaged(&self.segment, "a row group does not say its positions")),
            _ => Err(damaged(&self.segment, "a row group does not say its positions")),
        }
    }

    pub fn has(&self, column: &str) -> bool {
        self.metadata.file_metadata().schema_descr().columns().iter().any(|c| c.name() == column)
    }

    /// Fetches the columns of a row group that the file has, and checks them.
    pub async fn fetch(
        &self,
        store: &ArchiveStore,
        group: usize,
        columns: &[String],
        dictionaries: bool,
    ) -> Result<Fetched, ArchiveError> {
        let wanted = self.wanted(group, columns);
        let ranges: Vec<Range<u64>> = wanted.iter().map(|i| self.range(group, *i)).collect();
        let parts = store.get_ranges(&self.segment, &ranges).await?;
        self.fetched(group, wanted, ranges, parts, dictionaries)
    }

    /// The same out of a whole file in memory.
    pub fn slice(&self, bytes: &Bytes, group: usize, columns: &[String]) -> Result<Fetched, ArchiveError> {
        let wanted = self.wanted(group, columns);
        let ranges: Vec<Range<u64>> = wanted.iter().map(|i| self.range(group, *i)).collect();
        if ranges.iter().any(|r| r.end > bytes.len() as u64) {
            return Err(damaged(&self.segment, "a column goes past its end"));
        }
        let parts = ranges.iter().map(|r| bytes.slice(r.start as usize..r.end as usize)).collect();
        self.fetched(group, wanted, ranges, parts, false)
    }

    pub fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    /// Column chunks by where they lie, each checked; for engines that decode
    /// Parquet themselves.
    pub async fn whole_chunks(
        &self,
        store: &ArchiveStore,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, ArchiveError> {
        let parts = store.get_ranges(&self.segment, ranges).await?;
        for (part, range) in parts.iter().zip(ranges) {
            if self.checksum(range) != Some(crc32fast::hash(part)) {
                let reason = format!("bytes {} to {} are not what was sealed", range.start, range.end);
                return Err(damaged(&self.segment, reason));
            }
        }
        Ok(parts)
    }

    /// Of the column chunk that is exactly there.
    fn checksum(&self, range: &Range<u64>) -> Option<u32> {
        let columns = self.metadata.row_groups().iter().flat_map(|group| group.columns());
        let index = columns.map(|c| c.byte_range()).position(|(at, length)| (at..at + length) == *range)?;
        self.chunks.get(index).copied()
    }

    fn wanted(&self, group: usize, columns: &[String]) -> Vec<usize> {
        let meta = self.metadata.row_group(group);
        let asked = |i: &usize| columns.iter().any(|c| c == meta.column(*i).column_descr().name());
        (0..meta.num_columns()).filter(asked).collect()
    }

    fn range(&self, group: usize, column: usize) -> Range<u64> {
        let (start, length) = self.metadata.row_group(group).column(column).byte_range();
        start..start + length
    }

    fn fetched(
        &self,
        group: usize,
        wanted: Vec<usize>,
        ranges: Vec<Range<u64>>,
        parts: Vec<Bytes>,
        dictionaries: bool,
    ) -> Result<Fetched, ArchiveError> {
        let meta = self.metadata.row_group(group);
        for (part, column) in parts.iter().zip(&wanted) {
            if self.chunks.get(group * meta.num_columns() + column) != Some(&crc32fast::hash(part)) {
                let name = meta.column(*column).column_descr().name();
                return Err(damaged(&self.segment, format!("column {name} is not what was sealed")));
            }
        }
        let parts = ranges.into_iter().map(|r| r.start).zip(parts).collect();
        let chunks = Chunks { length: self.segment.bytes, parts };
        let (metadata, segment) = (self.metadata.clone(), self.segment.clone());
        Ok(Fetched { chunks, metadata, group, wanted, dictionaries, segment })
    }
}

fn checksums(metadata: &ParquetMetaData) -> Option<Vec<u32>> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    let text = pairs.iter().find(|pair| pair.key == CHUNKS_KEY)?.value.as_deref()?;
    let bytes = hex::decode(text).ok()?;
    let chunks: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|c| u32::from_be_bytes(*c)).collect();
    let expected: usize = metadata.row_groups().iter().map(|g| g.num_columns()).sum();
    (chunks.len() == expected).then_some(chunks)
}

/// Compressed columns of one row group, ready to be decoded on any thread.
pub struct Fetched {
    chunks: Chunks,
    metadata: Arc<ParquetMetaData>,
    group: usize,
    wanted: Vec<usize>,
    dictionaries: bool,
    segment: Segment,
}

impl Fetched {
    /// Batches of [`BATCH_ROWS`] rows, decoded as they are asked for.
    pub fn decode(self) -> Result<impl Iterator<Item = Result<RecordBatch, ArchiveError>>, ArchiveError> {
        let segment = self.segment.clone();
        let reader = self.reader().map_err(|e| damaged(&segment, e))?;
        Ok(reader.map(move |batch| batch.map_err(|e| damaged(&segment, e))))
    }

    fn reader(self) -> Result<ParquetRecordBatchReader, ParquetError> {
        let plain = ArrowReaderMetadata::try_new(self.metadata.clone(), ArrowReaderOptions::new())?;
        let metadata = if self.dictionaries {
            let schema = Arc::new(with_dictionaries(plain.schema()));
            let options = ArrowReaderOptions::new().with_schema(schema);
            ArrowReaderMetadata::try_new(self.metadata.clone(), options)?
        } else {
            plain
        };
        let mask = ProjectionMask::roots(self.metadata.file_metadata().schema_descr(), self.wanted);
        ParquetRecordBatchReaderBuilder::new_with_metadata(self.chunks, metadata)
            .with_row_groups(vec![self.group])
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()
    }
}

/// Texts that repeat come as dictionaries, as they are stored.
fn with_dictionaries(schema: &Schema) -> Schema {
    let fields: Vec<_> = schema.fields().iter().map(|field| stale::as_dictionary(field)).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

/// Parts of a file that pretend to be the file.
struct Chunks {
    length: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Chunks {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let found = self.parts.iter().find(|(at, part)| (*at..at + part.len() as u64).contains(&start));
        let (at, part) = found.ok_or_else(|| ParquetError::EOF(format!("nothing was read at {start}")))?;
        Ok(part.slice((start - at) as usize..))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Chunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let part = self.from(start)?;
        if length > part.len() {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} go past what was read")));
        }
        Ok(part.slice(..length))
    }
}
