//! One query: from its text to its encoded rows.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::catalog::{
    CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use domain::ports::sql::{SqlAnswer, SqlError, SqlQuery};
use domain::registry::EVENT_TYPES;
use futures::StreamExt;
use url::Url;

use crate::archived::STORE;
use crate::bounded::BoundedSyntax;
use crate::encode::Encoder;
use crate::limits::{PARSE_DEPTH, THREADS};
use crate::pin::Pin;
use crate::stop::{AskInJoins, YieldAfterJoins};
use crate::table::{EVENTS, EventTable, name_of};
use crate::{Limits, bounded, failure, json, statement, weight};

const CATALOG: &str = "daybook";
const SCHEMA: &str = "public";
/// Rows that are worked on at once, and the bytes that they aim at.
const BATCH_ROWS: u64 = 8_192;
const BATCH_BYTES: u64 = 8 << 20;

pub async fn answer(query: &SqlQuery, pin: Arc<Pin>, limits: &Limits) -> Result<SqlAnswer, SqlError> {
    let checked = statement::check(&query.text)?;
    let state = state(&pin, limits).map_err(failure::of_planning)?;
    let plan = state.statement_to_plan(checked.statement).await.map_err(failure::of_planning)?;
    let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    reads.verify_plan(&plan).map_err(|e| SqlError::NotAllowed(e.strip_backtrace()))?;
    if weight::of(&plan).map_err(failure::of_planning)? > weight::MAX {
        return Err(SqlError::Invalid(format!("the query is made of more than {} steps", weight::MAX)));
    }
    let max_rows = query.limit.unwrap_or(limits.rows);
    // One more than may be sent, to know whether there is more.
    let plan = match checked.query {
        true => limited(plan, max_rows + 1).map_err(failure::of_planning)?,
        false => plan,
    };
    run(&state, &plan, query, max_rows, limits, &pin).await
}

fn limited(plan: LogicalPlan, rows: usize) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan).limit(0, Some(rows))?.build()
}

async fn run(
    state: &SessionState,
    plan: &LogicalPlan,
    query: &SqlQuery,
    max_rows: usize,
    limits: &Limits,
    pin: &Pin,
) -> Result<SqlAnswer, SqlError> {
    let failed = |error: DataFusionError| failure::of_running(error, pin, limits);
    let plan = state.create_physical_plan(plan).await.map_err(failed)?;
    let mut batches = execute_stream(plan, state.task_ctx()).map_err(failed)?;
    let encoder = Encoder::new(query.format, batches.schema(), pin.at, limits.answer_bytes);
    let mut encoder = encoder.map_err(|e| failed(e.into()))?;
    while let Some(batch) = batches.next().await {
        if !encoder.push(&batch.map_err(failed)?, max_rows).map_err(|e| failed(e.into()))? {
            break;
        }
    }
    let (rows, truncated) = (encoder.rows, encoder.truncated);
    let body = encoder.finish().map_err(|e| failed(e.into()))?;
    Ok(SqlAnswer { at: pin.at, rows, truncated, body })
}

fn state(pin: &Arc<Pin>, limits: &Limits) -> Result<SessionState> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()?;
    if let Some(sealed) = &pin.archive {
        let url = Url::parse(STORE).map_err(|e| DataFusionError::External(Box::new(e)))?;
        runtime.register_object_store(&url, sealed.store.objects());
    }
    let config = SessionConfig::new()
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false)
        .with_target_partitions(THREADS)
        .with_batch_size(batch_rows(pin))
        .set_usize("datafusion.sql_parser.recursion_limit", PARSE_DEPTH);
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        // Before the default ones, so that it is asked first.
        .with_expr_planners(vec![Arc::new(BoundedSyntax)])
        .with_default_features()
        .with_optimizer_rule(Arc::new(AskInJoins(pin.clone())))
        .with_physical_optimizer_rule(Arc::new(YieldAfterJoins))
        .build();
    bounded::install(&mut state)?;
    for function in json::functions() {
        datafusion::execution::FunctionRegistry::register_udf(&mut state, function)?;
    }
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::new(tables(pin)?))?;
    state.catalog_list().register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    Ok(state)
}

/// Fewer where events are large.
fn batch_rows(pin: &Pin) -> usize {
    let segments = pin.archive.iter().flat_map(|sealed| &sealed.manifest.segments);
    let largest = segments.map(|s| s.bytes / s.events.max(1)).max().unwrap_or(0);
    // Compressed to a fifth, about.
    let rows = BATCH_BYTES / (largest * 5).max(1);
    usize::try_from(rows.clamp(64, BATCH_ROWS)).unwrap_or(64)
}

fn tables(pin: &Arc<Pin>) -> Result<MemorySchemaProvider> {
    let tables = MemorySchemaProvider::new();
    tables.register_table(EVENTS.to_owned(), Arc::new(EventTable::all(pin.clone())))?;
    let (mut names, mut types) = (vec![EVENTS.to_owned()], vec![None]);
    for known in EVENT_TYPES {
        let name = name_of(known.name);
        tables.register_table(name.clone(), Arc::new(EventTable::of_type(pin.clone(), known.name)))?;
        names.push(name);
        types.push(Some(known.name));
    }
    let columns: [(&str, ArrayRef); 2] =
        [("name", Arc::new(StringArray::from(names))), ("event_type", Arc::new(StringArray::from(types)))];
    let list = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true)))?;
    tables
        .register_table("tables".to_owned(), Arc::new(MemTable::try_new(list.schema(), vec![vec![list]])?))?;
    Ok(tables)
}
