//! What the reactor knows of rules and series, in a file beside the journal, so
//! that it need not be folded from history at each start.
//!
//! Nothing is lost with the file: what it holds is folded again from the log. It
//! is used only if it is whole, was written by the same build of the same
//! models, and the log has the event that it was written after.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use domain::ports::log::LogError;
use models_rules::{KNOWN_VERSION, NAME};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::engine::Engine;
use super::known::{Known, Unusable};

/// Changes when [`Known`] does.
const FORMAT: u32 = 2;
const MAGIC: &[u8; 8] = b"daybook~";
const HASH: usize = 32;
/// More is not kept: writing it would take longer than folding it again.
const MAX_BYTES: usize = 1 << 30;
/// Writing may take one part in so many of the time.
const SHARE: u32 = 20;

/// Where in the log something was kept: after this event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub position: u64,
    pub leaf: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    /// Everything up to here was looked at.
    position: u64,
    /// The event at that position.
    mark: Option<Mark>,
    #[serde(borrow)]
    known: Known<'a>,
}

/// What a file held.
pub struct Stored {
    pub position: u64,
    pub mark: Option<Mark>,
    pub engine: Engine,
}

#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("it is not whole")]
    Broken,
    #[error("it was written by another build")]
    Other,
    #[error("it does not decode: {0}")]
    Decode(#[from] postcard::Error),
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error("a rule does not encode: {0}")]
    Rule(#[from] serde_json::Error),
    #[error("{0} bytes are too many")]
    TooLarge(usize),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the task that writes it ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

#[derive(Debug, Clone)]
pub struct Shelf {
    path: PathBuf,
    /// When it was last written, or could not be, and how long that took.
    written: Option<(Instant, Duration)>,
}

/// By whom a file was written.
fn maker() -> String {
    format!("{} {FORMAT} {NAME} {KNOWN_VERSION}", env!("CARGO_PKG_VERSION"))
}

impl Shelf {
    pub fn new(path: PathBuf) -> Self {
        Self { path, written: None }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is there. `None` if there is no file.
    pub fn load(&self) -> Result<Option<Stored>, ShelfError> {
        if let Err(error) = tidy(&self.path) {
            tracing::debug!(%error, "reactor: what was half written is still there");
        }
        let bytes = match std::fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or(ShelfError::Broken)?;
        let (hash, rest) = rest.split_at_checked(HASH).ok_or(ShelfError::Broken)?;
        if Sha256::digest(rest)[..] != *hash {
            return Err(ShelfError::Broken);
        }
        let (by, rest): (String, _) = postcard::take_from_bytes(rest)?;
        if by != maker() {
            return Err(ShelfError::Other);
        }
        let kept: Kept<'_> = postcard::from_bytes(rest)?;
        let engine = Engine::resume(kept.known)?;
        Ok(Some(Stored { position: kept.position, mark: kept.mark, engine }))
    }

    /// Whether it is time to write again: what writing costs stays a small part
    /// of the work.
    pub fn is_due(&self) -> bool {
        self.written.is_none_or(|(at, took)| at.elapsed() >= took * SHARE)
    }

    /// Puts the file in place of the one before, whole or not at all.
    pub async fn save(
        &mut self,
        position: u64,
        mark: Option<Mark>,
        engine: &Engine,
    ) -> Result<(), ShelfError> {
        let began = Instant::now();
        let saved = self.put(position, mark, engine).await;
        self.written = Some((Instant::now(), began.elapsed()));
        saved
    }

    async fn put(&self, position: u64, mark: Option<Mark>, engine: &Engine) -> Result<(), ShelfError> {
        let kept = Kept { position, mark, known: engine.known()? };
        let mut body = postcard::to_allocvec(&maker())?;
        body = postcard::to_extend(&kept, body)?;
        if body.len() > MAX_BYTES {
            return Err(ShelfError::TooLarge(body.len()));
        }
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || write(&path, &body)).await??;
        Ok(())
    }
}

/// What the name of a file begins with while it is written.
fn unfinished(path: &Path) -> String {
    format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what was left by a kill while writing.
fn tidy(path: &Path) -> std::io::Result<()> {
    let prefix = unfinished(path);
    for entry in std::fs::read_dir(path.parent().unwrap_or(Path::new(".")))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn write(path: &Path, body: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(&unfinished(path)).tempfile_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(&Sha256::digest(body))?;
    file.write_all(body)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
