//! Text out of files. What a file is, is told by its content first and by its
//! name second; everything that it may take is limited.

// zip unpacks with the backend that this crate's features choose.
use flate2 as _;

mod archive;
mod docx;
mod html;
mod labels;
mod markdown;
mod pdf;
mod plain;

pub use archive::entries;
pub use labels::{Label, LabelError, Labels, NoSuchFile};
pub use pdf::{MAX_PAGES, pdf_text};

/// Largest file.
pub const MAX_FILE_BYTES: usize = 50 << 20;
/// Most text out of one file.
pub const MAX_TEXT_BYTES: usize = 32 << 20;
/// Most entries of an archive.
pub const MAX_ENTRIES: usize = 10_000;
/// Unpacked bytes for each packed one: more is a bomb.
pub const MAX_RATIO: u64 = 200;
/// What an archive may be unpacked to.
pub const MAX_UNPACKED_BYTES: u64 = 256 << 20;

/// The text of a file, before normalisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    pub text: String,
    /// `text`, `markdown`, `html`, `docx` or `pdf`.
    pub format: &'static str,
}

/// Why there is no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("it is empty")]
    Empty,
    #[error("it is {found} bytes long, of at most {most}")]
    TooLarge { found: usize, most: usize },
    #[error("it is no text: {0}")]
    Binary(&'static str),
    #[error("it is a {0}, which is not read")]
    Unsupported(&'static str),
    #[error("it is a broken {format}: {reason}")]
    Broken { format: &'static str, reason: String },
    #[error("it unpacks to more than {0}: this is no honest archive")]
    Bomb(String),
    #[error("entry {0:?} leads out of the archive")]
    Outside(String),
}

/// The text of a file of this name, which is no PDF.
pub fn extract(name: &str, bytes: &[u8]) -> Result<Extracted, TextError> {
    extract_with(name, bytes, &|_| Err(TextError::Unsupported("PDF")))
}

/// The text of a file of this name. PDFs are read by `pdf`, which keeps
/// [`pdf_text`] where it can do no harm.
pub fn extract_with(
    name: &str,
    bytes: &[u8],
    pdf: &dyn Fn(&[u8]) -> Result<String, TextError>,
) -> Result<Extracted, TextError> {
    if bytes.is_empty() {
        return Err(TextError::Empty);
    }
    if bytes.len() > MAX_FILE_BYTES {
        return Err(TextError::TooLarge { found: bytes.len(), most: MAX_FILE_BYTES });
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return docx::text(bytes).map(|text| Extracted { text, format: "docx" });
    }
    if bytes.starts_with(b"%PDF-") {
        return pdf(bytes).map(|text| Extracted { text, format: "pdf" });
    }
    if bytes.starts_with(b"\xd0\xcf\x11\xe0") {
        return Err(TextError::Unsupported("document of old Word"));
    }
    if ending == "pdf" {
        return Err(TextError::Broken { format: "PDF", reason: "it does not begin as one".into() });
    }
    if ending == "docx" {
        return Err(TextError::Broken { format: "DOCX", reason: "it is no ZIP archive".into() });
    }
    let text = plain::decode(bytes)?;
    let extracted = match ending.as_str() {
        "html" | "htm" | "xhtml" => Extracted { text: html::text(&text), format: "html" },
        "md" | "markdown" => Extracted { text: markdown::text(&text), format: "markdown" },
        _ if looks_like_html(&text) => Extracted { text: html::text(&text), format: "html" },
        _ => Extracted { text, format: "text" },
    };
    match extracted.text.trim().is_empty() {
        true => Err(TextError::Empty),
        false if extracted.text.len() > MAX_TEXT_BYTES => {
            Err(TextError::TooLarge { found: extracted.text.len(), most: MAX_TEXT_BYTES })
        }
        false => Ok(extracted),
    }
}

fn looks_like_html(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(15).collect::<String>().to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

/// Whether a file of this name may hold a text.
pub fn is_text_name(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    matches!(
        ending.as_str(),
        "txt" | "text" | "md" | "markdown" | "html" | "htm" | "xhtml" | "docx" | "pdf" | ""
    )
}
