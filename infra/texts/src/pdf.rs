//! The running text of a PDF file, page by page.
//!
//! The reader below trusts files more than they deserve: it may panic, and a
//! form that draws itself has it recurse until the stack ends, which nothing
//! catches. So [`pdf_text`] belongs into a process of its own, bounded in time
//! and memory; [`crate::extract_with`] takes whoever starts one.

use pdf_extract::{Document, PlainTextOutput, output_doc};

use crate::{MAX_TEXT_BYTES, TextError};

/// Most pages of a file.
pub const MAX_PAGES: usize = 3_000;

/// May panic and may end the process: see the module.
pub fn pdf_text(bytes: &[u8]) -> Result<String, TextError> {
    let broken = |reason: &str| TextError::Broken { format: "PDF", reason: reason.to_owned() };
    let document = Document::load_mem(bytes).map_err(|_| broken("its objects do not read"))?;
    if document.is_encrypted() || document.trailer.has(b"Encrypt") {
        return Err(TextError::Unsupported("PDF that is encrypted"));
    }
    let pages = document.get_pages().len();
    if pages == 0 {
        return Err(broken("it has no pages"));
    }
    if pages > MAX_PAGES {
        return Err(TextError::Bomb(format!("{MAX_PAGES} pages")));
    }
    let mut text = String::new();
    output_doc(&document, &mut PlainTextOutput::new(&mut text))
        .map_err(|_| broken("a page does not read"))?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(TextError::TooLarge { found: text.len(), most: MAX_TEXT_BYTES });
    }
    match text.chars().any(char::is_alphanumeric) {
        true => Ok(text),
        false => Err(TextError::Unsupported("PDF without text, such as a scan")),
    }
}
