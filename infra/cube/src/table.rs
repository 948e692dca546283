//! Answers as columns: an Arrow stream, or a Parquet file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, UInt64Array};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema};
use domain::ports::results::{ResultError, Table, TableFormat, Values};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

const CREATED_BY: &str = "daybook-cube/1";

fn unwritable(error: impl std::fmt::Display) -> ResultError {
    ResultError::Unwritable(error.to_string())
}

pub fn encode(table: Table, format: TableFormat) -> Result<Vec<u8>, ResultError> {
    let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (name, values) in table.columns {
        let (kind, nulls, array): (_, _, ArrayRef) = match values {
            Values::Text(texts) => (DataType::Utf8, true, Arc::new(StringArray::from(texts))),
            Values::Number(numbers) => (DataType::Float64, true, Arc::new(Float64Array::from(numbers))),
            Values::Count(counts) => (DataType::UInt64, false, Arc::new(UInt64Array::from(counts))),
        };
        fields.push(Field::new(name, kind, nulls));
        arrays.push(array);
    }
    let facts: HashMap<String, String> = table.facts.into_iter().collect();
    let schema = Arc::new(Schema::new_with_metadata(fields, facts));
    let batch = RecordBatch::try_new(schema.clone(), arrays).map_err(unwritable)?;
    match format {
        TableFormat::Arrow => {
            let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(unwritable)?;
            writer.write(&batch).map_err(unwritable)?;
            writer.into_inner().map_err(unwritable)
        }
        TableFormat::Parquet => {
            let level = ZstdLevel::try_new(1).map_err(unwritable)?;
            let properties = WriterProperties::builder()
                .set_created_by(CREATED_BY.to_owned())
                .set_compression(Compression::ZSTD(level))
                .build();
            let mut writer =
                ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(unwritable)?;
            writer.write(&batch).map_err(unwritable)?;
            writer.into_inner().map_err(unwritable)
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, UInt64Type};
    use arrow_ipc::reader::StreamReader;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn table() -> Table {
        Table {
            facts: vec![("run_id".into(), "R".into())],
            columns: vec![
                ("key".into(), Values::Text(vec![Some("A".into()), None])),
                ("value".into(), Values::Number(vec![Some(-0.1), None])),
                ("positions".into(), Values::Count(vec![3, 0])),
            ],
        }
    }

    fn check(batch: &RecordBatch) {
        assert_eq!(batch.column(0).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("A"), None]);
        let values = batch.column(1).as_primitive::<Float64Type>();
        assert_eq!(values.iter().collect::<Vec<_>>(), [Some(-0.1), None]);
        assert_eq!(batch.column(2).as_primitive::<UInt64Type>().values(), &[3, 0]);
    }

    #[test]
    fn tables_come_back() {
        let bytes = encode(table(), TableFormat::Arrow).unwrap();
        let mut read = StreamReader::try_new(bytes.as_slice(), None).unwrap();
        assert_eq!(read.schema().metadata()["run_id"], "R");
        check(&read.next().unwrap().unwrap());
        let bytes = encode(table(), TableFormat::Parquet).unwrap();
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        assert_eq!(builder.schema().metadata()["run_id"], "R");
        check(&builder.build().unwrap().next().unwrap().unwrap());
    }

    #[test]
    fn columns_of_different_length_are_refused() {
        let mut table = table();
        table.columns[0].1 = Values::Text(vec![]);
        assert!(matches!(encode(table, TableFormat::Arrow), Err(ResultError::Unwritable(_))));
    }
}
