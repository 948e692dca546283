//! The archive's part of a scan: DataFusion's Parquet reader over the segments
//! of the manifest that can hold what is asked for.

use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::DFSchema;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, TryStreamExt};
use infra_archive::arrow_schema::SchemaRef;
use infra_archive::manifest::{Manifest, Segment};
use infra_archive::{Chunk, Scan, schema};

use crate::bounds::{self, Bounds};
use crate::checked::{CheckedFiles, Pinned};
use crate::pin::Sealed;
use crate::sealed::{Gate, Gated};

/// Where the engine believes that segments are. Nothing is ever read from
/// there past [`CheckedFiles`].
pub const STORE: &str = "archive://segments/";

pub struct ArchiveScan<'a> {
    pub sealed: &'a Sealed,
    pub gate: &'a Gate,
    pub bounds: &'a Bounds,
    pub filters: &'a [Expr],
    /// All columns of the table.
    pub table: SchemaRef,
}

impl ArchiveScan<'_> {
    pub fn partitions(&self, state: &dyn Session) -> Result<Vec<Arc<dyn PartitionStream>>> {
        let segments = self.sealed.manifest.segments.iter().filter(|s| self.bounds.may_hold(s));
        let (stale, fresh): (Vec<Segment>, Vec<Segment>) =
            segments.cloned().partition(|segment| self.is_stale(segment));
        let mut partitions = Vec::new();
        if !fresh.is_empty() {
            let plan = self.plan(state, fresh)?;
            let count = plan.output_partitioning().partition_count();
            partitions.extend((0..count).map(|i| Gated::plan(self.gate.clone(), plan.clone(), i)));
        }
        if !stale.is_empty() {
            partitions.push(self.renewed(stale));
        }
        Ok(partitions)
    }

    /// Whether typed columns are asked for that the segment has of an older
    /// schema, or not at all.
    fn is_stale(&self, segment: &Segment) -> bool {
        let typed = self.gate.schema.fields().iter().any(|f| f.name().starts_with(schema::PREFIX));
        typed && segment.schema != schema::current(&segment.event_type)
    }

    fn plan(&self, state: &dyn Session, segments: Vec<Segment>) -> Result<Arc<dyn ExecutionPlan>> {
        let needed = self.gate.needs();
        let columns: Result<Vec<usize>, _> = needed.iter().map(|name| self.table.index_of(name)).collect();
        let files = CheckedFiles { pin: self.gate.pin.clone(), store: self.sealed.store.clone() };
        let source = ParquetSource::new(self.table.clone())
            .with_parquet_file_reader_factory(Arc::new(files))
            // Both read parts of files that have no checksum of their own.
            .with_enable_page_index(false)
            .with_bloom_filter_on_read(false)
            .with_predicate(
                state.create_physical_expr(self.predicate(), &DFSchema::try_from(self.table.clone())?)?,
            );
        let groups = split(segments, state.config().target_partitions());
        let config = FileScanConfigBuilder::new(ObjectStoreUrl::parse(STORE)?, Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(Some(columns?))?
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// What row groups are left out by.
    fn predicate(&self) -> Expr {
        let pin = &self.gate.pin;
        let mut all: Vec<Expr> = self.filters.iter().filter(|f| bounds::is_plain(f)).cloned().collect();
        all.push(col("position").lt_eq(lit(i64::try_from(pin.at).unwrap_or(i64::MAX))));
        all.extend(pin.tenant.as_ref().map(|tenant| col("tenant").eq(lit(tenant.as_str()))));
        conjunction(all).unwrap_or_else(|| lit(true))
    }

    /// Segments whose typed columns have to be made anew.
    fn renewed(&self, segments: Vec<Segment>) -> Arc<dyn PartitionStream> {
        let (pin, store) = (self.gate.pin.clone(), self.sealed.store.clone());
        let manifest = Manifest { segments, ..(*self.sealed.manifest).clone() };
        let scan = Scan { threads: 1, ..Scan::new(&[], &self.gate.needs()) };
        let scan = scan.after(self.bounds.first.saturating_sub(1));
        Gated::stream(self.gate.clone(), "archive", move |_| {
            let start = (pin.clone(), store.scan(&manifest, &scan));
            let chunks = futures::stream::try_unfold(start, |(pin, mut chunks)| async move {
                let read = async move { chunks.next().await.map(|chunk| (chunk, chunks)) };
                let (chunk, chunks) = pin.request(read).await?;
                Ok::<_, DataFusionError>(chunk.map(|chunk| (chunk, (pin, chunks))))
            });
            let parts =
                |chunk: Chunk| futures::stream::iter(chunk.parts.into_iter().map(|part| Ok(part.batch)));
            Ok(chunks.map_ok(parts).try_flatten().boxed())
        })
    }
}

/// Into groups of about the same size.
fn split(mut segments: Vec<Segment>, groups: usize) -> Vec<FileGroup> {
    segments.sort_by_key(|segment| segment.first);
    let mut all: Vec<(u64, Vec<PartitionedFile>)> = Vec::new();
    all.resize_with(groups.clamp(1, segments.len().max(1)), Default::default);
    for segment in segments {
        if let Some((bytes, files)) = all.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += segment.bytes;
            let file = PartitionedFile::new(segment.path.clone(), segment.bytes);
            files.push(file.with_extension(Pinned(segment)));
        }
    }
    all.into_iter().map(|(_, files)| FileGroup::new(files)).collect()
}
