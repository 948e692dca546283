//! Files of a ZIP archive, unpacked in memory within limits.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::{MAX_ENTRIES, MAX_FILE_BYTES, MAX_RATIO, MAX_UNPACKED_BYTES, TextError};

/// Each file with its path. Nothing is written anywhere; a path that leads out
/// of the archive refuses all of it.
pub fn entries(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, TextError> {
    let broken = |reason: String| TextError::Broken { format: "ZIP", reason };
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(e.to_string()))?;
    if archive.len() > MAX_ENTRIES {
        return Err(TextError::Bomb(format!("{MAX_ENTRIES} entries")));
    }
    let mut files = Vec::new();
    let mut total = 0;
    for number in 0..archive.len() {
        let entry = archive.by_index(number).map_err(|e| broken(e.to_string()))?;
        let Some(path) = entry.enclosed_name() else {
            return Err(TextError::Outside(String::from_utf8_lossy(entry.name_raw()).into_owned()));
        };
        if !entry.is_file() {
            continue;
        }
        let most = entry.compressed_size().saturating_mul(MAX_RATIO).min(MAX_FILE_BYTES as u64);
        let mut content = Vec::new();
        entry.take(most + 1).read_to_end(&mut content).map_err(|e| broken(e.to_string()))?;
        total += content.len() as u64;
        if content.len() as u64 > most {
            return Err(TextError::Bomb(format!("{most} bytes in one entry")));
        }
        if total > MAX_UNPACKED_BYTES {
            return Err(TextError::Bomb(format!("{MAX_UNPACKED_BYTES} bytes")));
        }
        files.push((path.to_string_lossy().replace('\\', "/"), content));
    }
    files.sort();
    Ok(files)
}
