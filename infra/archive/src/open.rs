//! From a URL to a store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::Secret;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use crate::ArchiveStore;

/// What is set beside the URL for S3 and what speaks like it. Empty: as the
/// environment of AWS says.
#[derive(Debug, Clone, Default)]
pub struct S3Settings {
    pub endpoint: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: Secret,
    /// `https://host/bucket` instead of `https://bucket.host`.
    pub path_style: bool,
}

/// How long a request may take and how long failed ones are repeated.
#[derive(Debug, Clone)]
pub struct Patience {
    pub request: Duration,
    pub retries: usize,
    pub total: Duration,
    pub first_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(60),
            retries: 8,
            total: Duration::from_secs(120),
            first_pause: Duration::from_millis(100),
        }
    }
}

impl Patience {
    fn retry(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: self.first_pause,
                max_backoff: Duration::from_secs(15),
                base: 2.0,
            },
            max_retries: self.retries,
            retry_timeout: self.total,
        }
    }

    fn client(&self, plain_http: bool) -> ClientOptions {
        ClientOptions::new().with_timeout(self.request).with_allow_http(plain_http)
    }
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    #[error("is no place for an archive: {0}")]
    Url(String),
    #[error("cannot be opened: {0}")]
    Store(String),
}

impl ArchiveStore {
    /// A folder, which is made if need be.
    pub fn folder(path: &Path) -> Result<Self, OpenError> {
        let store = |e: &dyn std::fmt::Display| OpenError::Store(format!("{}: {e}", path.display()));
        std::fs::create_dir_all(path).map_err(|e| store(&e))?;
        let path = path.canonicalize().map_err(|e| store(&e))?;
        let files = LocalFileSystem::new_with_prefix(&path).map_err(|e| store(&e))?;
        Ok(Self::in_folder(Arc::new(files), path))
    }

    /// Nowhere: for tests.
    pub fn memory() -> Self {
        Self::new(Arc::new(InMemory::new()), "memory:")
    }

    /// A folder's path or `file://`, `s3://bucket/prefix`, `gs://…`, `az://…`.
    pub fn open(url: &str, s3: &S3Settings, patience: &Patience) -> Result<Self, OpenError> {
        let Some((scheme, _)) = url.split_once("://") else { return Self::folder(Path::new(url)) };
        let parsed = Url::parse(url).map_err(|e| OpenError::Url(e.to_string()))?;
        let bucket = parsed.host_str().unwrap_or_default().to_owned();
        let failed = |e: object_store::Error| OpenError::Store(e.to_string());
        let objects: Arc<dyn ObjectStore> = match scheme {
            "file" => {
                let path = parsed.to_file_path().map_err(|()| OpenError::Url("not a path".to_owned()))?;
                return Self::folder(&path);
            }
            "s3" => Arc::new(s3_builder(&bucket, s3, patience).build().map_err(failed)?),
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(&bucket);
                let builder =
                    builder.with_retry(patience.retry()).with_client_options(patience.client(false));
                Arc::new(builder.build().map_err(failed)?)
            }
            "az" => {
                let builder = MicrosoftAzureBuilder::from_env().with_container_name(&bucket);
                let builder =
                    builder.with_retry(patience.retry()).with_client_options(patience.client(false));
                Arc::new(builder.build().map_err(failed)?)
            }
            other => return Err(OpenError::Url(format!("{other}:// is none of file, s3, gs and az"))),
        };
        let prefix = parsed.path().trim_matches('/');
        let name = format!("{scheme}://{bucket}{}", parsed.path());
        Ok(match prefix.is_empty() {
            true => Self::new(objects, &name),
            false => Self::new(Arc::new(PrefixStore::new(objects, prefix)), &name),
        })
    }
}

fn s3_builder(bucket: &str, s3: &S3Settings, patience: &Patience) -> AmazonS3Builder {
    let plain_http = s3.endpoint.starts_with("http://");
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_retry(patience.retry())
        .with_client_options(patience.client(plain_http))
        .with_virtual_hosted_style_request(!s3.path_style);
    if !s3.endpoint.is_empty() {
        builder = builder.with_endpoint(&s3.endpoint);
    }
    if !s3.region.is_empty() {
        builder = builder.with_region(&s3.region);
    }
    if !s3.access_key_id.is_empty() {
        builder = builder.with_access_key_id(&s3.access_key_id);
    }
    if !s3.secret_access_key.reveal().is_empty() {
        builder = builder.with_secret_access_key(s3.secret_access_key.reveal());
    }
    builder
}
