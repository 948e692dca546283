//! A control for register: does style tell this author from others where the
//! genre is another?

use std::collections::BTreeMap;

use models_stylometry::corpus::Known;
use models_stylometry::warnings::quality;

use crate::analysis::{Imposters, MOST_IMPOSTERS, Reference, StyleError, Text, candidate};
use crate::shapes::Register;

/// Genres that are left out in turn: each takes a fit of its own.
const MOST_GENRES: usize = 3;

impl Reference {
    /// Empty of an author whose texts are of one genre, or not said to be of any.
    pub(crate) fn registers(&self, author: &str) -> Result<Vec<Register>, StyleError> {
        let mut genres: BTreeMap<&str, Vec<&Text>> = BTreeMap::new();
        for text in self.texts.iter().filter(|text| text.author == author) {
            if let Some(genre) = &text.genre {
                genres.entry(genre).or_default().push(text);
            }
        }
        if genres.len() < 2 {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (genre, texts) in genres.iter().take(MOST_GENRES) {
            let Some(longest) = texts.iter().max_by_key(|text| (text.text.len(), &text.id)) else { continue };
            found.extend(self.register(author, genre, longest)?);
        }
        Ok(found)
    }

    fn register(&self, author: &str, genre: &str, left: &Text) -> Result<Option<Register>, StyleError> {
        let quality = quality(&left.text);
        let mut others: Vec<&str> = self.authors().into_keys().filter(|other| *other != author).collect();
        others.truncate(MOST_IMPOSTERS);
        let own = |text: &Text| text.author == author;
        let wanted = |text: &&Text| match own(text) {
            // Those of which nothing is said may be of this genre.
            true => text.genre.as_deref().is_some_and(|other| other != genre),
            false => others.contains(&text.author.as_str()),
        };
        let chosen: Vec<&Text> = self.texts.iter().filter(wanted).collect();
        let known = chosen.iter().filter(|text| own(text)).count();
        if !quality.enough || known == 0 || others.is_empty() {
            return Ok(None);
        }
        let known_texts: Vec<Known<'_>> =
            chosen.iter().map(|t| Known { author: &t.author, work: &t.id, text: &t.text }).collect();
        let verified = Imposters::of(&known_texts)?.verify(&left.text);
        let Some(verified) = verified.into_iter().find(|v| v.author == author) else { return Ok(None) };
        Ok(Some(Register {
            genre: genre.to_owned(),
            text: left.id.clone(),
            words: quality.words,
            known,
            figures: candidate(verified, true).figures,
        }))
    }
}
