//! Texts as rows of numbers: relative frequencies with who wrote what. A table
//! comes from texts or from published frequencies; all models take a table.

use std::ops::Range;

/// One text, or a piece of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Index into [`Table::authors`].
    pub author: usize,
    /// Index into [`Table::works`].
    pub work: usize,
    /// Words of the piece; 0 where only frequencies are known.
    pub words: usize,
    /// One number for each feature.
    pub values: Vec<f64>,
}

/// Known texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// What the columns are.
    pub features: Vec<String>,
    /// Columns that are one kind of thing, such as words; in order, without
    /// gaps. The first is that of words.
    pub blocks: Vec<Range<usize>>,
    /// In ascending order.
    pub authors: Vec<String>,
    /// In the order of the rows.
    pub works: Vec<String>,
    /// Rows of one author stand beside each other.
    pub rows: Vec<Row>,
}

/// Why a table cannot be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// There is nothing to choose between.
    #[error("known texts of at least two authors are needed, there are {0}")]
    TooFewAuthors(usize),
    /// Every known text has the same features.
    #[error("the known texts do not differ in any feature")]
    NothingDiffers,
    /// The number of values of a row.
    #[error("row {row} has {found} values for {expected} features")]
    Width {
        /// Its number, from 1.
        row: usize,
        /// Values that it has.
        found: usize,
        /// Features of the table.
        expected: usize,
    },
    /// A value that is no frequency.
    #[error("row {row}, {feature}: {value} is no frequency")]
    Value {
        /// Its number, from 1.
        row: usize,
        /// Name of the column.
        feature: String,
        /// What stands there.
        value: String,
    },
}

impl Table {
    /// Of published frequencies: (author, work, values).
    pub fn of_frequencies(
        features: Vec<String>,
        known: &[(String, String, Vec<f64>)],
    ) -> Result<Self, TableError> {
        let mut authors: Vec<String> = known.iter().map(|(author, ..)| author.clone()).collect();
        authors.sort_unstable();
        authors.dedup();
        let all = 0..features.len();
        let mut table = Self { blocks: std::iter::once(all).collect(), features, authors, ..Self::default() };
        let mut order: Vec<usize> = (0..known.len()).collect();
        order.sort_by(|a, b| known[*a].0.cmp(&known[*b].0));
        for at in order {
            let (author, work, values) = &known[at];
            table.check(at + 1, values)?;
            let author = table.authors.binary_search(author).unwrap_or_default();
            table.works.push(work.clone());
            let work = table.works.len() - 1;
            table.rows.push(Row { author, work, words: 0, values: values.clone() });
        }
        Ok(table)
    }

    fn check(&self, row: usize, values: &[f64]) -> Result<(), TableError> {
        let (found, expected) = (values.len(), self.features.len());
        if found != expected {
            return Err(TableError::Width { row, found, expected });
        }
        match values.iter().position(|v| !v.is_finite() || *v < 0.0) {
            None => Ok(()),
            Some(at) => {
                let feature = self.features[at].clone();
                Err(TableError::Value { row, feature, value: values[at].to_string() })
            }
        }
    }

    /// The columns of words.
    pub fn words(&self) -> Range<usize> {
        self.blocks.first().cloned().unwrap_or(0..0)
    }

    /// How many rows each author has.
    pub fn rows_by_author(&self) -> Vec<usize> {
        let mut counts = vec![0; self.authors.len()];
        self.rows.iter().for_each(|row| counts[row.author] += 1);
        counts
    }

    /// How many works each author has.
    pub fn works_by_author(&self) -> Vec<usize> {
        let mut pairs: Vec<(usize, usize)> = self.rows.iter().map(|row| (row.author, row.work)).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let mut counts = vec![0; self.authors.len()];
        pairs.iter().for_each(|(author, _)| counts[*author] += 1);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_frequencies_is_checked() {
        let known = |values: Vec<f64>| {
            vec![("b".to_owned(), "w".to_owned(), values), ("a".to_owned(), "v".to_owned(), vec![1.0, 2.0])]
        };
        let names = || vec!["the".to_owned(), "of".to_owned()];
        let table = Table::of_frequencies(names(), &known(vec![0.5, 0.0])).unwrap();
        assert_eq!((table.authors.len(), table.rows[0].author, &table.works[0][..]), (2, 0, "v"));
        let wrong = Table::of_frequencies(names(), &known(vec![0.5])).unwrap_err();
        assert_eq!(wrong.to_string(), "row 1 has 1 values for 2 features");
        let wrong = Table::of_frequencies(names(), &known(vec![0.5, f64::NAN])).unwrap_err();
        assert_eq!(wrong.to_string(), "row 1, of: NaN is no frequency");
    }
}
