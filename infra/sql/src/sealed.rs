//! Streams that leave out what a query must not see, closed to optimizers.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{BooleanArray, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::compute::{and, filter_record_batch, kernels::cmp};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::pin::Pin;

/// Turns batches with at least the columns `position` and `tenant` into those
/// that the query asked for.
#[derive(Debug, Clone)]
pub struct Gate {
    pub pin: Arc<Pin>,
    pub schema: SchemaRef,
}

impl Gate {
    /// Columns of a table that have to be read for this.
    pub fn needs(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.schema.fields().iter().map(|f| f.name().as_str()).collect();
        for always in ["position", "tenant"] {
            if !names.contains(&always) {
                names.push(always);
            }
        }
        names
    }

    pub fn let_through(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        self.pin.check_wanted()?;
        let mask = self.mask(batch)?;
        let kept =
            if mask.true_count() == mask.len() { batch.clone() } else { filter_record_batch(batch, &mask)? };
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            columns.push(kept.column_by_name(field.name()).ok_or_else(|| missing(field.name()))?.clone());
        }
        let options =
            datafusion::arrow::array::RecordBatchOptions::new().with_row_count(Some(kept.num_rows()));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }

    fn mask(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let positions = batch.column_by_name("position").ok_or_else(|| missing("position"))?;
        let at = Int64Array::new_scalar(i64::try_from(self.pin.at).unwrap_or(i64::MAX));
        let seen = cmp::lt_eq(positions, &at)?;
        let Some(tenant) = &self.pin.tenant else { return Ok(seen) };
        let tenants = batch.column_by_name("tenant").ok_or_else(|| missing("tenant"))?;
        let own = cmp::eq(tenants, &StringArray::new_scalar(tenant.as_str()))?;
        Ok(and(&seen, &own)?)
    }
}

fn missing(column: &str) -> DataFusionError {
    DataFusionError::Internal(format!("column {column} was not read"))
}

pub type Batches = BoxStream<'static, Result<RecordBatch>>;
type Open = Box<dyn Fn(Arc<TaskContext>) -> Result<Batches> + Send + Sync>;

/// A source behind its gate.
pub struct Gated {
    gate: Gate,
    name: &'static str,
    open: Open,
}

impl Gated {
    pub fn stream(
        gate: Gate,
        name: &'static str,
        open: impl Fn(Arc<TaskContext>) -> Result<Batches> + Send + Sync + 'static,
    ) -> Arc<dyn PartitionStream> {
        Arc::new(Self { gate, name, open: Box::new(open) })
    }

    /// One partition of a plan.
    pub fn plan(gate: Gate, plan: Arc<dyn ExecutionPlan>, partition: usize) -> Arc<dyn PartitionStream> {
        Self::stream(gate, "archive", move |context| Ok(plan.execute(partition, context)?.boxed()))
    }
}

impl fmt::Debug for Gated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl PartitionStream for Gated {
    fn schema(&self) -> &SchemaRef {
        &self.gate.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let gate = self.gate.clone();
        let batches = match (self.open)(context) {
            Ok(batches) => batches,
            Err(error) => futures::stream::iter([Err(error)]).boxed(),
        };
        let kept = batches.map(move |batch| gate.let_through(&batch?));
        Box::pin(RecordBatchStreamAdapter::new(self.gate.schema.clone(), kept))
    }
}
