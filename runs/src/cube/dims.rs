//! What positions are grouped and filtered by. Every name is checked against
//! the run.

use std::collections::BTreeSet;

use daybook_http::Problem;
use domain::valuation::cells::Dimensions;

use super::Cube;

const MAX_DIMS: usize = 4;
const MAX_FILTERS: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    Position,
    Book,
    /// The first so many parts of the book's path.
    BookLevel(usize),
    Product,
    Currency,
    Instrument,
    Tag(String),
}

impl Dim {
    fn named(name: &str) -> Option<Self> {
        if let Some(level) = name.strip_prefix("book:") {
            return level.parse().ok().filter(|level| (1..=32).contains(level)).map(Self::BookLevel);
        }
        if let Some(tag) = name.strip_prefix("tag.") {
            return Some(Self::Tag(tag.to_owned()));
        }
        Some(match name {
            "position" | "position_id" => Self::Position,
            "book" | "portfolio_node_id" => Self::Book,
            "product" | "product_type" => Self::Product,
            "currency" => Self::Currency,
            "instrument" | "instrument_id" => Self::Instrument,
            _ => return None,
        })
    }

    pub fn name(&self) -> String {
        match self {
            Self::Position => "position".into(),
            Self::Book => "book".into(),
            Self::BookLevel(level) => format!("book:{level}"),
            Self::Product => "product".into(),
            Self::Currency => "currency".into(),
            Self::Instrument => "instrument".into(),
            Self::Tag(name) => format!("tag.{name}"),
        }
    }

    /// What a position has there; nothing is the empty text.
    pub fn of<'a>(&self, position: &'a Dimensions) -> &'a str {
        match self {
            Self::Position => &position.position_id,
            Self::Book => &position.book,
            Self::BookLevel(level) => upper(&position.book, *level),
            Self::Product => &position.product_type,
            Self::Currency => position.currency.as_deref().unwrap_or_default(),
            Self::Instrument => position.instrument_id.as_deref().unwrap_or_default(),
            Self::Tag(name) => position.tags.get(name).map(String::as_str).unwrap_or_default(),
        }
    }
}

fn upper(book: &str, level: usize) -> &str {
    let end = book.match_indices('/').nth(level - 1).map_or(book.len(), |(at, _)| at);
    &book[..end]
}

/// A book and all above it.
pub fn ancestors(book: &str) -> impl Iterator<Item = &str> {
    book.match_indices('/').map(|(at, _)| &book[..at]).chain([book])
}

fn dim(parameter: &str, name: &str, cube: &Cube) -> Result<Dim, Problem> {
    let known = "position, book, book:<level>, product, currency, instrument, tag.<name>";
    let dim = Dim::named(name).ok_or_else(|| {
        Problem::parameter(parameter, format!("{name:?} is no dimension; there are {known}"))
    })?;
    if let Dim::Tag(tag) = &dim {
        let mut positions = cube.parts.iter().flat_map(|part| &part.positions);
        if !positions.any(|position| position.tags.contains_key(tag)) {
            return Err(Problem::parameter(parameter, format!("no position of the run has a tag {tag:?}")));
        }
    }
    Ok(dim)
}

/// Dimensions by their names, comma-separated.
pub fn dims(parameter: &str, names: &str, cube: &Cube) -> Result<Vec<Dim>, Problem> {
    let mut all = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let dim = dim(parameter, name, cube)?;
        if !all.contains(&dim) {
            all.push(dim);
        }
    }
    match all.len() > MAX_DIMS {
        true => Err(Problem::parameter(parameter, format!("must be at most {MAX_DIMS} dimensions"))),
        false => Ok(all),
    }
}

/// Positions that are looked at: each dimension has one of some values. A book
/// stands for all below it.
pub struct Filter(Vec<(Dim, BTreeSet<String>)>);

impl Filter {
    /// `currency:USD|EUR,book:RATES`.
    pub fn new(text: &str, cube: &Cube) -> Result<Self, Problem> {
        let mut all = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, values) = part
                .rsplit_once(':')
                .ok_or_else(|| Problem::parameter("filter", "must be dimension:value|value,…"))?;
            all.push((dim("filter", name, cube)?, values.split('|').map(str::to_owned).collect()));
        }
        match all.len() > MAX_FILTERS {
            true => Err(Problem::parameter("filter", format!("must be at most {MAX_FILTERS} conditions"))),
            false => Ok(Self(all)),
        }
    }

    pub fn takes(&self, position: &Dimensions) -> bool {
        self.0.iter().all(|(dim, values)| match dim {
            Dim::Book => ancestors(&position.book).any(|book| values.contains(book)),
            dim => values.contains(dim.of(position)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_have_levels() {
        assert_eq!((upper("A/B/C", 1), upper("A/B/C", 2), upper("A/B/C", 9)), ("A", "A/B", "A/B/C"));
        assert_eq!(ancestors("A/B/C").collect::<Vec<_>>(), ["A", "A/B", "A/B/C"]);
        assert_eq!(Dim::named("book:2"), Some(Dim::BookLevel(2)));
        assert!(Dim::named("book:0").is_none() && Dim::named("pv; drop").is_none());
    }
}
