//! Published frequencies in place of texts: a CSV whose first column names the
//! texts (`author_work`) and whose other columns are words. The same models.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use models_stylometry::attribute::{self, Attributor};
use models_stylometry::table::Table;
use models_stylometry::verify::{self, Verifier};
use models_stylometry::warnings::{Quality, Warning};

use styles::{Asked, Judged, Verified, candidate, judged};

type Row = (String, String, Vec<f64>);

/// Most numbers of a table.
const MOST_VALUES: usize = 50_000_000;

pub struct Frequencies {
    words: Vec<String>,
    rows: Vec<Row>,
}

impl Frequencies {
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let mut reader = csv::Reader::from_path(path).with_context(|| name.to_string())?;
        let header = reader.headers().with_context(|| name.to_string())?;
        let words: Vec<String> = header.iter().skip(1).map(str::to_owned).collect();
        let mut rows: Vec<Row> = Vec::new();
        for record in reader.records() {
            let record = record.with_context(|| name.to_string())?;
            let line = record.position().map_or(0, csv::Position::line);
            if (rows.len() + 1) * words.len() > MOST_VALUES {
                bail!("{name}: more than {MOST_VALUES} numbers");
            }
            let text = record.get(0).unwrap_or_default();
            let Some((author, _)) =
                text.split_once('_').filter(|(author, work)| !author.is_empty() && !work.is_empty())
            else {
                bail!("{name}: line {line}: {text:?} is no author_work");
            };
            let value = |(word, field): (&String, &str)| match field.trim().parse::<f64>() {
                Ok(value) => Ok(value),
                Err(_) => bail!("{name}: line {line}, {word}: {field:?} is no number"),
            };
            let values = words.iter().zip(record.iter().skip(1)).map(value).collect::<Result<Vec<_>>>()?;
            rows.push((author.to_owned(), text.to_owned(), values));
        }
        Ok(Self { words, rows })
    }

    /// The rows of these names, and a table of the others without them.
    fn split(&self, names: &[String]) -> Result<(Vec<&Row>, Table)> {
        let find = |name: &String| {
            self.rows.iter().find(|row| row.1 == *name).with_context(|| format!("there is no row {name}"))
        };
        let asked = names.iter().map(find).collect::<Result<Vec<_>>>()?;
        let known: Vec<Row> = self.rows.iter().filter(|row| !names.contains(&row.1)).cloned().collect();
        Ok((asked, Table::of_frequencies(self.words.clone(), &known)?))
    }

    pub fn attribute(&self, names: &[String]) -> Result<Vec<Judged>> {
        let (asked, table) = self.split(names)?;
        let verifier = Verifier::new(table.clone(), verify::Settings::default())?;
        let attributor = Attributor::of_table(table, attribute::Settings::default())?;
        let judge = |row: &&Row| {
            let found = attributor.attribute(&row.2, 0);
            let first = found.candidates[0].author.clone();
            let verification = verifier.verify(&row.2).into_iter().find(|v| v.author == first);
            let mut warnings = found.warnings.clone();
            warnings.push(unknown_length());
            judged(&named(&row.1), &unseen(), found, verification, None, warnings)
        };
        Ok(asked.iter().map(judge).collect())
    }

    pub fn verify(&self, names: &[String], author: Option<&str>) -> Result<Vec<Verified>> {
        let (asked, table) = self.split(names)?;
        let verifier = Verifier::new(table, verify::Settings::default())?;
        let judge = |row: &&Row| {
            let found = verifier.verify(&row.2).into_iter().filter(|v| author.is_none_or(|a| a == v.author));
            let mut warnings = verifier.warnings().to_vec();
            warnings.push(unknown_length());
            Verified {
                text: row.1.clone(),
                sha256: None,
                words: 0,
                language: None,
                model: models_stylometry::VERIFICATION,
                candidates: found.map(|v| candidate(v, true)).collect(),
                registers: Vec::new(),
                warnings,
            }
        };
        Ok(asked.iter().map(judge).collect())
    }
}

fn named(name: &str) -> Asked {
    Asked { name: name.to_owned(), text: String::new() }
}

fn unseen() -> Quality {
    Quality { words: 0, language: None, enough: true, warnings: Vec::new() }
}

fn unknown_length() -> Warning {
    Warning::new("unknown_length", "only frequencies are known: nothing says how long the texts are")
}
