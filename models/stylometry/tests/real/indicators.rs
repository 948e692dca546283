//! Indicators of machine-written text, by topics left out and across genres.

use std::fs;

use models_stylometry::features::Features;
use models_stylometry::indicators::{Example, Model, fitted};
use models_stylometry::metrics::{auc, brier, calibration_error};
use models_stylometry::normalise::normalise;

use super::data::folder;

const PARTS: u64 = 10;

struct Text {
    text: String,
    example: Example,
}

/// Essays and stories; topics of the two don't share numbers.
fn texts() -> Option<[Vec<Text>; 2]> {
    let folder = folder("human_vs_llm")?;
    let read = |name: &str, first: u64| {
        let lines = fs::read_to_string(folder.join(name)).unwrap();
        let text = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = normalise(row["text"].as_str().unwrap());
            let example = Example {
                features: Features::of(&text),
                topic: first + row["topic"].as_u64().unwrap(),
                machine: row["label"] != "human",
            };
            Text { text, example }
        };
        lines.lines().map(text).collect::<Vec<_>>()
    };
    Some([read("toefl_essays_topics_1-80.jsonl", 0), read("writingprompts_gpt-3.5-turbo.jsonl", 1_000_003)])
}

#[derive(Default)]
struct Said {
    cases: Vec<(f64, bool)>,
    silent: usize,
    accused: usize,
    people: usize,
}

impl Said {
    fn add(&mut self, model: &Model, text: &Text) {
        let machine = text.example.machine;
        self.people += usize::from(!machine);
        match model.indications(&text.text).probability {
            Some(p) => {
                self.cases.push((p, machine));
                self.accused += usize::from(!machine && p > 0.9);
            }
            None => self.silent += 1,
        }
    }

    fn print(&self, what: &str) {
        let all = self.cases.len() + self.silent;
        println!(
            "{what}: {all} texts, AUC {:.3}, calibration error {:.3}, Brier {:.3}, abstains {:.3}, people above 0.9: {} of {}",
            auc(&self.cases).unwrap_or(f64::NAN),
            calibration_error(&self.cases),
            brier(&self.cases),
            self.silent as f64 / all as f64,
            self.accused,
            self.people
        );
    }
}

fn fit<'a>(texts: impl Iterator<Item = &'a Text>) -> Model {
    Model::fit(&texts.map(|t| &t.example).collect::<Vec<_>>(), PARTS).unwrap()
}

fn by_topic(texts: &[&Text]) -> Said {
    let mut said = Said::default();
    for part in 0..PARTS {
        // Not the parts that the model itself leaves out.
        let asked = |t: &&&Text| (t.example.topic / PARTS) % PARTS == part;
        let model = fit(texts.iter().filter(|t| !asked(t)).copied());
        texts.iter().filter(asked).for_each(|t| said.add(&model, t));
    }
    said
}

#[test]
fn indicators_tell_machines_from_people_within_genres_and_less_across() {
    let Some([essays, stories]) = texts() else { return };
    let all: Vec<&Text> = essays.iter().chain(&stories).collect();
    let within = by_topic(&all);
    within.print("essays and stories, other topics");
    by_topic(&essays.iter().collect::<Vec<_>>()).print("essays, other topics");
    by_topic(&stories.iter().collect::<Vec<_>>()).print("stories, other topics");
    for (known, asked, what) in [
        (&essays, &stories, "fitted to essays, asked stories"),
        (&stories, &essays, "fitted to stories, asked essays"),
    ] {
        let model = fit(known.iter());
        let mut said = Said::default();
        asked.iter().for_each(|t| said.add(&model, t));
        said.print(what);
    }
    assert!(auc(&within.cases).unwrap() > 0.9);
    assert!(calibration_error(&within.cases) < 0.1);
}

/// The table of the crate is what these texts give.
#[test]
fn the_table_is_the_fit() {
    let Some([essays, stories]) = texts() else { return };
    let model = fit(essays.iter().chain(&stories));
    let table = fitted();
    let same = |a: f64, b: f64| (a - b).abs() < 1e-4 * (1.0 + a.abs());
    let equal = model.fits.iter().flatten().zip(table.fits.iter().flatten()).all(|(a, b)| same(*a, *b))
        && model.mean.iter().zip(&table.mean).all(|(a, b)| same(*a, *b))
        && model.deviation.iter().zip(&table.deviation).all(|(a, b)| same(*a, *b))
        && model.fits.len() == table.fits.len();
    if !equal {
        println!("pub(crate) const MEAN: [f64; {}] = {:.7?};", model.mean.len(), model.mean);
        println!("pub(crate) const DEVIATION: [f64; {}] = {:.7?};", model.deviation.len(), model.deviation);
        println!(
            "pub(crate) const FITS: [[f64; {}]; {}] = {:.5?};",
            model.fits[0].len(),
            model.fits.len(),
            model.fits
        );
    }
    assert!(equal, "the table has to be made anew");
}
