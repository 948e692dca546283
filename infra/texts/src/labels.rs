//! Who wrote which file: a CSV with a header. The file stands in a column
//! `path`, `file`, `filename`, `text` or `name` (or `no`, the number at the end
//! of a file's name), the author in `author`, `label` or a column that begins
//! with `author`; `title`, `genre`, `language`, `licence`, `written_at` and
//! `corpus` may stand beside them. Other columns are passed over.

use std::collections::HashMap;
use std::fmt;

/// What one line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label {
    /// Line of the file, from 1.
    pub line: u64,
    /// As it stands there.
    pub path: String,
    /// Empty where nothing stands.
    pub author: String,
    pub title: Option<String>,
    pub genre: Option<String>,
    pub language: Option<String>,
    pub licence: Option<String>,
    pub written_at: Option<String>,
    pub corpus: Option<String>,
}

/// All lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels {
    pub labels: Vec<Label>,
    /// Paths are numbers at the end of a file's name.
    numbers: bool,
}

/// What does not hold, with its line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct LabelError {
    pub line: u64,
    pub reason: String,
}

/// A label of a file that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchFile {
    pub line: u64,
    pub path: String,
}

impl fmt::Display for NoSuchFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: there is no file {}", self.line, self.path)
    }
}

const PATHS: &[&str] = &["path", "file", "filename", "text", "name"];
const MOST_LABELS: usize = 1_000_000;

impl Labels {
    /// Reads a CSV; what does not hold is named with its line.
    pub fn parse(csv: &str) -> Result<Self, LabelError> {
        let fail = |line: u64, reason: String| LabelError { line, reason };
        let csv = csv.strip_prefix('\u{feff}').unwrap_or(csv);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv.as_bytes());
        let header = reader.headers().map_err(|e| fail(1, e.to_string()))?.clone();
        let header: Vec<String> = header.iter().map(str::to_ascii_lowercase).collect();
        let column = |name: &str| header.iter().position(|h| h == name);
        let (path, numbers) = match (PATHS.iter().find_map(|name| column(name)), column("no")) {
            (Some(at), _) => (at, false),
            (None, Some(at)) => (at, true),
            (None, None) => {
                return Err(fail(1, format!("there is no column {} in the header", PATHS.join(", "))));
            }
        };
        let author = column("author").or_else(|| column("label"));
        let author = author.or_else(|| header.iter().position(|h| h.starts_with("author")));
        let author = author.ok_or_else(|| fail(1, "there is no column author in the header".into()))?;
        let others = ["title", "genre", "language", "licence", "written_at", "corpus"].map(column);
        let mut made = Self { labels: Vec::new(), numbers };
        let mut seen: HashMap<String, (u64, String)> = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(|e| {
                let line = e.position().map_or(0, csv::Position::line);
                let reason = match e.kind() {
                    csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                        format!("{len} fields, the header has {expected_len}")
                    }
                    _ => e.to_string(),
                };
                fail(line, reason)
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            let field = |at: Option<usize>| at.and_then(|at| record.get(at)).filter(|f| !f.is_empty());
            let Some(named) = field(Some(path)) else { return Err(fail(line, "no file is named".into())) };
            let by = record.get(author).unwrap_or_default();
            if let Some((first, other)) = seen.get(named) {
                if other != by {
                    return Err(fail(line, format!("{named} is by {by}, by line {first} it is by {other}")));
                }
                continue;
            }
            seen.insert(named.to_owned(), (line, by.to_owned()));
            if made.labels.len() == MOST_LABELS {
                return Err(fail(line, format!("there are more than {MOST_LABELS} labels")));
            }
            let [title, genre, language, licence, written_at, corpus] =
                others.map(|at| field(at).map(str::to_owned));
            let (path, author) = (named.to_owned(), by.to_owned());
            let label = Label { line, path, author, title, genre, language, licence, written_at, corpus };
            made.labels.push(label);
        }
        if made.labels.is_empty() {
            return Err(fail(1, "there are no labels below the header".into()));
        }
        Ok(made)
    }

    /// The label of each file, and the labels of none. A file is found by its
    /// path in the folder, else by its name alone, with or without its ending.
    pub fn of<'a>(&'a self, files: &'a [String]) -> (Vec<(usize, &'a Label)>, Vec<NoSuchFile>) {
        let mut index: HashMap<String, Option<usize>> = HashMap::new();
        for (i, file) in files.iter().enumerate() {
            let name = file.rsplit('/').next().unwrap_or(file);
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            let mut keys = match self.numbers {
                true => vec![number_at_end(stem)],
                false => vec![file.clone(), name.to_owned(), stem.to_owned()],
            };
            keys.sort();
            keys.dedup();
            for key in keys {
                // A name that two files have is nobody's, unless it is a path.
                let whole = key == *file;
                index.entry(key).and_modify(|at| *at = if whole { Some(i) } else { None }).or_insert(Some(i));
            }
        }
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for label in &self.labels {
            let path = label.path.strip_prefix("./").unwrap_or(&label.path);
            let name = path.rsplit('/').next().unwrap_or(path);
            let keys = if self.numbers {
                [number_at_end(path), String::new()]
            } else {
                [path.to_owned(), name.to_owned()]
            };
            let at = keys.iter().find_map(|key| index.get(key.as_str()).copied().flatten());
            match at {
                Some(at) => found.push((at, label)),
                None => missing.push(NoSuchFile { line: label.line, path: label.path.clone() }),
            }
        }
        (found, missing)
    }
}

fn number_at_end(stem: &str) -> String {
    let digits: String = stem.chars().rev().take_while(char::is_ascii_digit).collect();
    let number: String = digits.chars().rev().skip_while(|c| *c == '0').collect();
    if digits.is_empty() { stem.to_owned() } else { format!("#{number}") }
}
