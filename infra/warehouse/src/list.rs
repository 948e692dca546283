//! Each tenant's list of the files that count, for engines: Parquet, too, since
//! each of them reads that. It may lag behind the manifest, never run ahead; what
//! it names lies there until the grace is over.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;

use crate::encode::{Codec, Encoder};
use crate::error::WarehouseError;
use crate::manifest::{File, Manifest};
use crate::names;
use crate::store::WarehouseStore;

pub const TEXTS: [&str; 6] = ["app_id", "year", "month", "day", "hour", "file"];
pub const NUMBERS: [&str; 4] = ["first_position", "last_position", "row_count", "byte_count"];

fn encode(files: &[&File]) -> Result<Bytes, WarehouseError> {
    let text = |i: usize| {
        let value = move |f: &&File| match TEXTS[i] {
            "app_id" => f.app.clone(),
            "file" => f.path.rsplit('/').next().unwrap_or_default().to_owned(),
            _ => f.hour.parts()[i - 1].1.clone(),
        };
        Arc::new(files.iter().map(|f| Some(value(f))).collect::<StringArray>()) as ArrayRef
    };
    let number = |i: usize| {
        let value = |f: &File| [f.first, f.last, f.rows, f.bytes][i].cast_signed();
        Arc::new(Int64Array::from_iter_values(files.iter().map(|f| value(f)))) as ArrayRef
    };
    let fields = TEXTS.iter().map(|name| Field::new(*name, DataType::Utf8, false));
    let fields = fields.chain(NUMBERS.iter().map(|name| Field::new(*name, DataType::Int64, false)));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let arrays = (0..TEXTS.len()).map(text).chain((0..NUMBERS.len()).map(number)).collect();
    let batch = RecordBatch::try_new(schema.clone(), arrays);
    let batch = batch.map_err(|e| WarehouseError::Unwritable(e.to_string()))?;
    let mut encoder = Encoder::new(schema, Codec::Zstd, 1 << 20)?;
    encoder.write(&batch)?;
    encoder.finish()
}

impl WarehouseStore {
    /// Makes the tenant's list say what the manifest does.
    pub(crate) async fn publish(&self, manifest: &Manifest, tenant: &str) -> Result<(), WarehouseError> {
        let files: Vec<&File> = manifest.files.iter().filter(|f| f.tenant == tenant).collect();
        let (path, bytes) = (names::list(tenant), encode(&files)?);
        match self.objects.object(&path).await.map_err(WarehouseError::from) {
            Ok(there) if there == bytes => return Ok(()),
            Ok(_) | Err(WarehouseError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(self.objects.replace_object(&path, bytes).await?)
    }
}
