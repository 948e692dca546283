//! Known texts, cut into pieces of comparable length.

use crate::table::{Row, Table};
use crate::tokens;
use crate::vocabulary::{Counted, Sizes, Vocabulary};

/// A text whose author is known, normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'a> {
    /// Who wrote it.
    pub author: &'a str,
    /// Which text it is; names need not differ.
    pub work: &'a str,
    /// All of it.
    pub text: &'a str,
}

/// A piece of a known text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub author: usize,
    pub work: usize,
    pub text: &'a str,
}

/// Most pieces: what is solved grows with their cube. With more known texts
/// each is a piece.
const MOST_PIECES: usize = 1_200;

/// Known texts, and what of them is counted.
#[derive(Debug, Clone)]
pub struct Corpus<'a> {
    authors: Vec<String>,
    works: Vec<String>,
    pieces: Vec<Piece<'a>>,
    vocabulary: Vocabulary,
    /// In each piece.
    counted: Vec<Counted>,
}

impl<'a> Corpus<'a> {
    /// Cuts each text into pieces of about `piece_words` words and chooses the
    /// vocabulary. Texts without a word are left out.
    pub fn new(known: &[Known<'a>], sizes: &Sizes, piece_words: usize) -> Self {
        let mut known: Vec<&Known<'a>> =
            known.iter().filter(|k| tokens::words(k.text).next().is_some()).collect();
        known.sort_by(|a, b| a.author.cmp(b.author));
        let mut authors: Vec<String> = known.iter().map(|k| k.author.to_owned()).collect();
        authors.dedup();
        let mut size = piece_words;
        let mut pieces = cut(&known, &authors, size);
        while pieces.len() > MOST_PIECES.max(known.len()) {
            size *= 2;
            pieces = cut(&known, &authors, size);
        }
        let works = known.iter().map(|k| k.work.to_owned()).collect();
        let texts: Vec<(u32, &str)> = pieces.iter().map(|p| (p.author as u32, p.text)).collect();
        let (vocabulary, counted) = Vocabulary::fit(&texts, sizes);
        Self { authors, works, pieces, vocabulary, counted }
    }

    /// What is counted.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The frequencies of each piece.
    pub fn table(&self) -> Table {
        let features = self.vocabulary.names().len();
        let rows = self.pieces.iter().zip(&self.counted);
        self.of_rows(rows.map(|(piece, counted)| piece.row(piece.text, counted.frequencies(features))))
    }

    /// The frequencies of the first words of each piece: what a short text of
    /// these authors looks like.
    pub fn table_of_first(&self, words: usize) -> Table {
        self.of_rows(self.pieces.iter().map(|piece| {
            let text = tokens::first_words(piece.text, words);
            piece.row(text, self.vocabulary.frequencies(text))
        }))
    }

    fn of_rows(&self, rows: impl Iterator<Item = Row>) -> Table {
        Table {
            features: self.vocabulary.names().to_vec(),
            blocks: self.vocabulary.blocks().to_vec(),
            authors: self.authors.clone(),
            works: self.works.clone(),
            rows: rows.collect(),
        }
    }
}

impl Piece<'_> {
    fn row(&self, text: &str, values: Vec<f64>) -> Row {
        Row { author: self.author, work: self.work, words: tokens::count_words(text), values }
    }
}

fn cut<'a>(known: &[&Known<'a>], authors: &[String], size: usize) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    for (work, known) in known.iter().enumerate() {
        // Authors were taken from these texts and are in order.
        let author = authors.binary_search_by(|a| a.as_str().cmp(known.author)).unwrap_or_default();
        pieces.extend(tokens::pieces(known.text, size).into_iter().map(|text| Piece { author, work, text }));
    }
    pieces
}
