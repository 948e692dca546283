//! Reading segments so that damage shows: every column chunk is compared with
//! its checksum, the footer with its hash, before a byte of it is decoded.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::error::{DataFusionError, Result};
use datafusion::parquet::arrow::arrow_reader::ArrowReaderOptions;
use datafusion::parquet::arrow::async_reader::AsyncFileReader;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::ParquetMetaData;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt;
use futures::future::BoxFuture;
use infra_archive::manifest::Segment;
use infra_archive::{ArchiveStore, SegmentFile};

use crate::pin::Pin;

/// Opens the segments that scans name; see [`Pinned`].
pub struct CheckedFiles {
    pub pin: Arc<Pin>,
    pub store: ArchiveStore,
}

/// Which segment a file of a scan is.
pub struct Pinned(pub Segment);

impl fmt::Debug for CheckedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckedFiles")
    }
}

impl ParquetFileReaderFactory for CheckedFiles {
    fn create_reader(
        &self,
        _: usize,
        file: PartitionedFile,
        _: Option<usize>,
        _: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let Some(Pinned(segment)) = file.extension::<Pinned>() else {
            return Err(DataFusionError::Internal(format!("{} is no segment", file.path())));
        };
        let (pin, store, segment) = (self.pin.clone(), self.store.clone(), segment.clone());
        Ok(Box::new(CheckedFile { pin, store, segment, file: None }))
    }
}

struct CheckedFile {
    pin: Arc<Pin>,
    store: ArchiveStore,
    segment: Segment,
    file: Option<Arc<SegmentFile>>,
}

impl CheckedFile {
    async fn open(&mut self) -> ParquetResult<Arc<SegmentFile>> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let (store, segment) = (self.store.clone(), self.segment.clone());
        let opened = self.pin.request(async move { SegmentFile::open(&store, &segment).await }).await;
        let file = Arc::new(opened.map_err(external)?);
        self.file = Some(file.clone());
        Ok(file)
    }
}

fn external(error: DataFusionError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

impl AsyncFileReader for CheckedFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            let parts = self.get_byte_ranges(vec![range]).await?;
            parts.into_iter().next().ok_or_else(|| ParquetError::EOF("nothing was read".to_owned()))
        }
        .boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            let (file, store) = (self.open().await?, self.store.clone());
            let read = async move { file.whole_chunks(&store, &ranges).await };
            self.pin.request(read).await.map_err(external)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move { Ok(self.open().await?.metadata().clone()) }.boxed()
    }
}
