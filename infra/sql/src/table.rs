//! The tables: `events`, and one for each known type with its typed columns.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::StreamingTableExec;
use infra_archive::schema;

use crate::archived::ArchiveScan;
use crate::bounds::Bounds;
use crate::pin::Pin;
use crate::sealed::Gate;
use crate::tail;

pub const EVENTS: &str = "events";

#[derive(Debug)]
pub struct EventTable {
    pin: Arc<Pin>,
    event_type: Option<&'static str>,
    schema: SchemaRef,
}

/// Of a type's table: `band.tapped` is `band_tapped`.
pub fn name_of(event_type: &str) -> String {
    event_type.replace('.', "_")
}

impl EventTable {
    /// The envelope of every event.
    pub fn all(pin: Arc<Pin>) -> Self {
        let common = schema::common();
        // Whether the typed columns are filled says nothing without them.
        let fields = common.fields().iter().filter(|f| f.name() != "decoded").cloned();
        Self { pin, event_type: None, schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())) }
    }

    pub fn of_type(pin: Arc<Pin>, event_type: &'static str) -> Self {
        Self { pin, event_type: Some(event_type), schema: schema::of_type(event_type) }
    }
}

#[async_trait]
impl TableProvider for EventTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    /// They say what need not be read; the engine filters.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let bounds = Bounds::new(self.pin.at, self.event_type, filters);
        let gate = Gate { pin: self.pin.clone(), schema: schema.clone() };
        let mut partitions = Vec::new();
        if let Some(sealed) = &self.pin.archive {
            let table = self.schema.clone();
            let scan = ArchiveScan { sealed, gate: &gate, bounds: &bounds, filters, table };
            partitions = scan.partitions(state)?;
        }
        partitions.extend(tail::scan(&gate, &bounds, self.event_type));
        if partitions.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, [], false, None)?))
    }
}
