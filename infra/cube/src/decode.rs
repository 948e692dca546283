//! The bytes of a Parquet file to cells.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use bytes::Bytes;
use domain::valuation::cells::TaskCells;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};

use crate::encode::{CELLS_KEY, VALUE};

const BATCH: usize = 1 << 16;

/// The columns of these measures. The bytes are those that were named.
pub fn decode(bytes: Bytes, measures: &[String]) -> Result<TaskCells, String> {
    let metadata = ArrowReaderMetadata::load(&bytes, Default::default()).map_err(|e| e.to_string())?;
    let pairs = metadata.metadata().file_metadata().key_value_metadata();
    let footer = pairs.into_iter().flatten().find(|pair| pair.key == CELLS_KEY);
    let footer = footer.and_then(|pair| pair.value.as_deref()).ok_or("its footer tells no cells")?;
    let mut cells: TaskCells = serde_json::from_str(footer).map_err(|e| e.to_string())?;
    let count = cells.positions.len() * cells.scenarios.len();
    let mut columns = Vec::new();
    for (group, mut column) in std::mem::take(&mut cells.columns).into_iter().enumerate() {
        if !measures.contains(&column.measure) {
            continue;
        }
        column.values = numbers(&bytes, &metadata, group, count)?;
        columns.push(column);
    }
    cells.columns = columns;
    Ok(cells)
}

fn numbers(
    bytes: &Bytes,
    metadata: &ArrowReaderMetadata,
    group: usize,
    count: usize,
) -> Result<Vec<f64>, String> {
    let mut values = Vec::with_capacity(count);
    if count == 0 {
        return Ok(values);
    }
    let wanted = ProjectionMask::columns(metadata.parquet_schema(), [VALUE]);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata.clone())
        .with_row_groups(vec![group])
        .with_projection(wanted)
        .with_batch_size(BATCH)
        .build()
        .map_err(|e| e.to_string())?;
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        let array = batch.column(0).as_primitive::<Float64Type>();
        match array.null_count() {
            0 => values.extend_from_slice(array.values()),
            _ => values.extend(array.iter().map(|value| value.unwrap_or(f64::NAN))),
        }
    }
    match values.len() == count {
        true => Ok(values),
        false => Err(format!("a column has {} of {count} numbers", values.len())),
    }
}
