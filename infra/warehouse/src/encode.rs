//! Rows to the bytes of a file. The same rows make the same bytes.

use arrow_array::{RecordBatch, new_null_array};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};

use crate::cells::BATCH_ROWS;
use crate::error::{WarehouseError, unwritable};

const CREATED_BY: &str = "daybook-warehouse/1";
/// Bytes after which a row group ends before its rows.
const ROW_GROUP_BYTES: usize = 128 << 20;

/// How pages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    Zstd,
    Snappy,
    None,
}

impl std::str::FromStr for Codec {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name.to_ascii_lowercase().as_str() {
            "zstd" => Ok(Self::Zstd),
            "snappy" => Ok(Self::Snappy),
            "none" | "uncompressed" => Ok(Self::None),
            _ => Err("must be zstd, snappy or none"),
        }
    }
}

pub struct Encoder {
    writer: ArrowWriter<Vec<u8>>,
    schema: SchemaRef,
}

impl Encoder {
    pub fn new(schema: SchemaRef, codec: Codec, row_group_rows: usize) -> Result<Self, WarehouseError> {
        let properties = properties(codec, row_group_rows)?;
        let writer =
            ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties)).map_err(unwritable)?;
        Ok(Self { writer, schema })
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), WarehouseError> {
        self.writer.write(batch).map_err(unwritable)
    }

    /// Everything in another file. Columns that it lacks, since it was written
    /// before there were any, are null. Returns how many rows it has.
    pub fn append(&mut self, file: Bytes) -> Result<u64, WarehouseError> {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unwritable)?;
        let reader = reader.with_batch_size(BATCH_ROWS).build().map_err(unwritable)?;
        let mut rows = 0;
        for batch in reader {
            let batch = batch.map_err(|e| WarehouseError::Unwritable(e.to_string()))?;
            rows += batch.num_rows() as u64;
            let fields = self.schema.fields().iter();
            let arrays = fields.map(|field| match batch.column_by_name(field.name()) {
                Some(array) => array.clone(),
                None => new_null_array(field.data_type(), batch.num_rows()),
            });
            let batch = RecordBatch::try_new(self.schema.clone(), arrays.collect());
            self.write(&batch.map_err(|e| WarehouseError::Unwritable(e.to_string()))?)?;
        }
        Ok(rows)
    }

    pub fn finish(self) -> Result<Bytes, WarehouseError> {
        Ok(Bytes::from(self.writer.into_inner().map_err(unwritable)?))
    }
}

fn properties(codec: Codec, row_group_rows: usize) -> Result<WriterProperties, WarehouseError> {
    let compression = match codec {
        Codec::Zstd => Compression::ZSTD(ZstdLevel::try_new(3).map_err(unwritable)?),
        Codec::Snappy => Compression::SNAPPY,
        Codec::None => Compression::UNCOMPRESSED,
    };
    let column = |name: &str| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_compression(compression)
        .set_max_row_group_row_count(Some(row_group_rows))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_statistics_enabled(EnabledStatistics::Page);
    // Every value is another one, and nobody searches for a range of them.
    for name in ["event_id", "id", "payload", "data", "data_base64"] {
        properties = properties
            .set_column_dictionary_enabled(column(name), false)
            .set_column_statistics_enabled(column(name), EnabledStatistics::None);
    }
    properties = properties
        .set_column_dictionary_enabled(column("position"), false)
        .set_column_encoding(column("position"), Encoding::DELTA_BINARY_PACKED)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        }]));
    Ok(properties.build())
}
