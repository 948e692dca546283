//! Files as texts, for the commands of samples.

use commands::samples::{Files, Packed};
use infra_texts::{Labels, TextError, entries, extract_with, is_text_name};

use crate::style::{label_of, pdf};

/// The labels of an archive's own files.
const LABELS: &str = "labels.csv";

pub struct TextFiles;

impl Files for TextFiles {
    fn text(&self, name: &str, bytes: &[u8]) -> Result<(String, &'static str), String> {
        let found = extract_with(name, bytes, &pdf::text);
        found.map(|found| (found.text, found.format)).map_err(|e| told(&e))
    }

    fn archive(&self, bytes: &[u8]) -> Result<Vec<Packed>, String> {
        let entries = entries(bytes).map_err(|e| told(&e))?;
        let own = entries.iter().find(|(name, _)| name == LABELS);
        let labels = match own {
            None => None,
            Some((_, bytes)) => {
                let text = std::str::from_utf8(bytes).map_err(|_| format!("{LABELS} is not UTF-8"))?;
                Some(Labels::parse(text).map_err(|e| format!("{LABELS}: {e}"))?)
            }
        };
        let files: Vec<(String, Vec<u8>)> =
            entries.into_iter().filter(|(name, _)| name != LABELS && is_text_name(name)).collect();
        let Some(labels) = labels else {
            let unlabelled = files.into_iter().map(|(name, bytes)| Packed { name, bytes, label: None });
            return Ok(unlabelled.collect());
        };
        let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
        let (found, missing) = labels.of(&names);
        if let Some(missing) = missing.first() {
            return Err(format!("{LABELS}: {missing}"));
        }
        let mut lines = vec![None; files.len()];
        found.iter().for_each(|(at, line)| lines[*at] = Some(*line));
        let packed = |((name, bytes), line): ((String, Vec<u8>), Option<&infra_texts::Label>)| {
            let label = match line {
                Some(line) => label_of(line).map(|label| (line.title.clone(), label)),
                None => Err(format!("{LABELS} does not name it")),
            };
            Packed { name, bytes, label: Some(label) }
        };
        Ok(files.into_iter().zip(lines).map(packed).collect())
    }
}

/// As a problem says it, which has named the field: «The body is no text».
fn told(error: &TextError) -> String {
    let said = error.to_string();
    said.strip_prefix("it ").map(str::to_owned).unwrap_or(said)
}
