//! The texts and who wrote them.

use std::fs;
use std::path::PathBuf;

use models_stylometry::boilerplate::{shared_edges, unframed, without};
use models_stylometry::corpus::Known;
use models_stylometry::normalise::normalise;

pub struct Text {
    pub author: String,
    pub work: String,
    pub text: String,
}

pub fn folder(name: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("DAYBOOK_DATA") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
    };
    let path = root.join("stylometry").join(name);
    if path.is_dir() {
        return Some(path);
    }
    // Worktrees stand one folder deeper.
    let deeper =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/stylometry").join(name);
    if deeper.is_dir() {
        return Some(deeper);
    }
    eprintln!("skipped: no data in {}", path.display());
    None
}

fn texts(named: Vec<(String, String, PathBuf)>) -> Vec<Text> {
    let read = |path: &PathBuf| normalise(unframed(&fs::read_to_string(path).unwrap()));
    let all: Vec<String> = named.iter().map(|(.., path)| read(path)).collect();
    let shared = shared_edges(&all.iter().map(String::as_str).collect::<Vec<_>>());
    named
        .into_iter()
        .zip(&all)
        .map(|((author, work, _), text)| Text { author, work, text: without(text, &shared) })
        .collect()
}

/// Eight authors, two works each.
pub fn novels() -> Option<Vec<Text>> {
    let folder = folder("novels")?;
    let manifest = fs::read_to_string(folder.join("MANIFEST.csv")).unwrap();
    let named = manifest.lines().skip(1).map(|line| {
        let mut fields = line.split(',');
        let file = fields.next().unwrap().rsplit('/').next().unwrap().to_owned();
        (fields.next().unwrap().to_owned(), file.clone(), folder.join(file))
    });
    Some(texts(named.collect()))
}

/// The undisputed papers by one author.
pub fn federalist() -> Option<Vec<Text>> {
    let folder = folder("federalist")?;
    let labels = fs::read_to_string(folder.join("labels.csv")).unwrap();
    let named = labels.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        let number: u32 = fields[0].parse().unwrap();
        (fields[2] == "undisputed").then(|| {
            (fields[3].to_owned(), format!("{number:02}"), folder.join(format!("federalist_{number:02}.txt")))
        })
    });
    Some(texts(named.collect()))
}

/// A pair (author_work, frequencies) for each book, and the words.
#[allow(clippy::type_complexity, reason = "a test")]
pub fn galbraith() -> Option<(Vec<String>, Vec<(String, String, Vec<f64>)>)> {
    let table = fs::read_to_string(folder("galbraith")?.join("galbraith_mfw1000.csv")).unwrap();
    let mut lines = table.lines();
    let words = lines.next().unwrap().split(',').skip(1).map(str::to_owned).collect();
    let rows = lines.map(|line| {
        let mut fields = line.split(',');
        let name = fields.next().unwrap();
        let (author, work) = name.split_once('_').unwrap();
        (author.to_owned(), work.to_owned(), fields.map(|f| f.parse().unwrap()).collect())
    });
    Some((words, rows.collect()))
}

pub fn known<'a>(texts: impl IntoIterator<Item = &'a Text>) -> Vec<Known<'a>> {
    texts.into_iter().map(|t| Known { author: &t.author, work: &t.work, text: &t.text }).collect()
}
