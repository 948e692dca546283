//! Key-encryption keys. The local ones are 32 bytes, as 64 hex digits in a
//! file or a setting.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aes_gcm_siv::aead::{Aead, KeyInit, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use async_trait::async_trait;
use domain::Secret;
use domain::ports::keys::{KEY_BYTES, Kek, KeyBytes};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 12;
/// A file that is longer is no key.
const MAX_FILE_BYTES: u64 = 4_096;

#[derive(Debug, thiserror::Error)]
pub enum KekError {
    #[error("a key-encryption key has 64 hex digits (32 bytes); this one is something else")]
    NotAKey,
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{}: a key-encryption key has 64 hex digits (32 bytes); this file holds something else", path.display())]
    File { path: PathBuf },
    #[error("{}: everybody may read it; take the rights away (chmod o-rwx)", path.display())]
    Public { path: PathBuf },
}

pub struct LocalKek {
    id: String,
    key: KeyBytes,
}

impl LocalKek {
    pub fn parse(text: &Secret) -> Result<Self, KekError> {
        Self::of(text.reveal()).ok_or(KekError::NotAKey)
    }

    fn of(text: &str) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        hex::decode_to_slice(text.trim(), &mut *key).ok()?;
        Some(Self::new(KeyBytes::new(key)))
    }

    fn new(key: KeyBytes) -> Self {
        let mut hasher = Sha256::new();
        hasher.update("daybook-kek/1\n");
        hasher.update(key.reveal());
        let id = format!("local:{}", hex::encode(&hasher.finalize()[..8]));
        Self { id, key }
    }

    pub fn read(path: &Path) -> Result<Self, KekError> {
        let failed = |error| KekError::Io { path: path.into(), error };
        let file = File::open(path).map_err(failed)?;
        if others_may_read(&file).map_err(failed)? {
            return Err(KekError::Public { path: path.into() });
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES as usize));
        file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
        let key = std::str::from_utf8(&bytes).ok().and_then(Self::of);
        key.ok_or_else(|| KekError::File { path: path.into() })
    }

    /// A new key in a new file that only its owner may read. If somebody else
    /// is faster, the file is theirs.
    pub fn make(path: &Path) -> Result<Self, KekError> {
        let failed = |error| KekError::Io { path: path.into(), error };
        let key: Zeroizing<[u8; KEY_BYTES]> = Zeroizing::new(rand::random());
        let text = Zeroizing::new(format!("{}\n", hex::encode(*key)));
        let unfinished = path.with_extension(format!("{}.new", std::process::id()));
        let written =
            write(&unfinished, text.as_bytes()).and_then(|()| std::fs::hard_link(&unfinished, path));
        let _ = std::fs::remove_file(&unfinished);
        match written {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            written => written.map_err(failed)?,
        }
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            File::open(folder).and_then(|f| f.sync_all()).map_err(failed)?;
        }
        Self::read(path)
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(unix)]
fn others_may_read(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o007 != 0)
}

#[cfg(not(unix))]
fn others_may_read(_: &File) -> io::Result<bool> {
    Ok(false)
}

#[async_trait]
impl Kek for LocalKek {
    fn id(&self) -> &str {
        &self.id
    }

    async fn wrap(&self, key: &KeyBytes, context: &[u8]) -> Result<Vec<u8>, String> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let sealing = Payload { msg: key.reveal(), aad: context };
        let wrapped = Aes256GcmSiv::new(self.key.reveal().into())
            .encrypt(&Nonce::from(nonce), sealing)
            .map_err(|_| "it does not encrypt".to_owned())?;
        Ok([&nonce[..], &wrapped].concat())
    }

    async fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<KeyBytes, String> {
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_BYTES>().ok_or("it is too short")?;
        let opened = Aes256GcmSiv::new(self.key.reveal().into())
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: context })
            .map_err(|_| "it was changed, or belongs to somebody else")?;
        let opened = Zeroizing::new(opened);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if opened.len() != KEY_BYTES {
            return Err("it is no key".to_owned());
        }
        key.copy_from_slice(&opened);
        Ok(KeyBytes::new(key))
    }
}

/// The key-encryption key that wraps, and those that something may still be
/// wrapped by.
#[derive(Clone)]
pub struct Keks {
    newest: Arc<dyn Kek>,
    older: Vec<Arc<dyn Kek>>,
}

impl Keks {
    pub fn new(newest: Arc<dyn Kek>, older: Vec<Arc<dyn Kek>>) -> Self {
        Self { newest, older }
    }

    pub fn newest(&self) -> &dyn Kek {
        &*self.newest
    }

    pub fn get(&self, id: &str) -> Option<&dyn Kek> {
        std::iter::once(&self.newest).chain(&self.older).find(|kek| kek.id() == id).map(|kek| &**kek)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<LocalKek, KekError>) -> String {
        result.map(|k| k.id).unwrap_err().to_string()
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"0".repeat(66), &"g".repeat(64)] {
            assert!(message(LocalKek::parse(&Secret::new(text))).contains("64 hex digits"), "{text}");
        }
        assert!(LocalKek::parse(&Secret::new("0".repeat(64))).is_ok());
    }

    #[test]
    fn a_file_that_is_no_key_is_named_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kek");
        assert!(message(LocalKek::read(&path)).starts_with(&path.display().to_string()));
        for text in ["", "secret-thing", &"0".repeat(5_000), &"\u{e9}".repeat(32)] {
            std::fs::write(&path, text).unwrap();
            restrict(&path, 0o600);
            let said = message(LocalKek::read(&path));
            assert!(said.contains("64 hex digits") && said.contains("kek"), "{said}");
            assert!(!said.contains("secret-thing"));
        }
        assert!(message(LocalKek::read(folder.path())).contains(&folder.path().display().to_string()));
    }

    #[cfg(unix)]
    fn restrict(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[cfg(not(unix))]
    fn restrict(_: &Path, _: u32) {}

    #[cfg(unix)]
    #[test]
    fn a_file_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("privacy.key");
        let made = LocalKek::make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(LocalKek::make(&path).unwrap().id, made.id, "the first one stays");
        assert_eq!(LocalKek::read(&path).unwrap().id, made.id);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        restrict(&path, 0o644);
        assert!(message(LocalKek::read(&path)).contains("everybody may read it"));
    }
}
