//! The running text of a DOCX file: the paragraphs of `word/document.xml`,
//! without what was deleted under revision.

use std::io::{Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::Event;
use zip::ZipArchive;
use zip::result::ZipError;

use crate::{MAX_ENTRIES, MAX_RATIO, MAX_TEXT_BYTES, TextError};

fn broken(reason: impl ToString) -> TextError {
    TextError::Broken { format: "DOCX", reason: reason.to_string() }
}

pub(crate) fn text(bytes: &[u8]) -> Result<String, TextError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    if archive.len() > MAX_ENTRIES {
        return Err(TextError::Bomb(format!("{MAX_ENTRIES} entries")));
    }
    let entry = match archive.by_name("word/document.xml") {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => {
            return Err(TextError::Unsupported("ZIP archive without a Word document"));
        }
        Err(error) => return Err(broken(error)),
    };
    let most = (entry.compressed_size().saturating_mul(MAX_RATIO)).min(MAX_TEXT_BYTES as u64 * 4);
    let mut xml = Vec::new();
    entry.take(most + 1).read_to_end(&mut xml).map_err(broken)?;
    if xml.len() as u64 > most {
        return Err(TextError::Bomb(format!("{most} bytes")));
    }
    let text = paragraphs(&xml)?;
    match text.trim().is_empty() {
        true => Err(TextError::Empty),
        false => Ok(text),
    }
}

fn paragraphs(xml: &[u8]) -> Result<String, TextError> {
    let mut reader = Reader::from_reader(xml);
    let (mut text, mut shown, mut deleted) = (String::new(), false, 0usize);
    loop {
        match reader.read_event().map_err(broken)? {
            Event::Eof => return Ok(text),
            Event::Start(tag) => match tag.local_name().as_ref() {
                b"t" => shown = deleted == 0,
                b"del" | b"delText" => deleted += 1,
                _ => {}
            },
            Event::End(tag) => match tag.local_name().as_ref() {
                b"t" => shown = false,
                b"del" | b"delText" => deleted = deleted.saturating_sub(1),
                b"p" => text.push_str("\n\n"),
                _ => {}
            },
            Event::Empty(tag) => match tag.local_name().as_ref() {
                b"br" | b"cr" => text.push('\n'),
                b"tab" => text.push(' '),
                b"noBreakHyphen" => text.push('-'),
                _ => {}
            },
            Event::Text(words) if shown => text.push_str(&words.decode().map_err(broken)?),
            Event::CData(words) if shown => text.push_str(&words.decode().map_err(broken)?),
            Event::GeneralRef(name) if shown => {
                if let Some(character) = name.resolve_char_ref().map_err(broken)? {
                    text.push(character);
                    continue;
                }
                match &*name.decode().map_err(broken)? {
                    "amp" => text.push('&'),
                    "lt" => text.push('<'),
                    "gt" => text.push('>'),
                    "quot" => text.push('"'),
                    "apos" => text.push('\''),
                    other => return Err(broken(format!("there is no entity {other}"))),
                }
            }
            _ => {}
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err(TextError::TooLarge { found: text.len(), most: MAX_TEXT_BYTES });
        }
    }
}
