//! Exchange rates: quoted pairs, their inverses and crosses.
//!
//! `EURUSD` 1.09 says 1.09 USD for 1 EUR, for value on the valuation date. A
//! rate that is not quoted is made of two quoted ones over a third currency: USD
//! if it serves, then EUR, then the first in the alphabet.

use std::collections::{BTreeMap, BTreeSet};

use crate::quality::Quality;

/// A quoted pair.
#[derive(Debug, Clone, PartialEq)]
pub struct FxQuote {
    /// One unit of it is worth…
    pub base: String,
    /// …so many of this.
    pub quote: String,
    /// The rate.
    pub rate: f64,
    /// How far it can be relied on.
    pub quality: Quality,
}

/// A rate as a product of quoted ones: the quote's place, and whether inverted.
pub type Path = Vec<(usize, bool)>;

/// All quoted pairs.
#[derive(Debug, Clone, Default)]
pub struct FxRates {
    quotes: Vec<FxQuote>,
    by_pair: BTreeMap<(String, String), usize>,
}

/// The two currencies of `EURUSD`, `EUR/USD` or `EUR-USD`.
pub fn pair_of(text: &str) -> Result<(String, String), String> {
    let letters: String = text.chars().filter(|c| !matches!(c, '/' | '-' | '_' | '.')).collect();
    let fine = letters.len() == 6 && letters.bytes().all(|b| b.is_ascii_alphabetic());
    if !fine {
        return Err(format!("{text:?} is no pair of currencies such as EURUSD"));
    }
    let letters = letters.to_ascii_uppercase();
    Ok((letters[..3].to_owned(), letters[3..].to_owned()))
}

/// How far the product of a pair's two directions may be from one.
const CROSSED: f64 = 1e-4;

impl FxRates {
    /// Rates must be positive; a pair quoted twice, or crossed with its inverse,
    /// is refused.
    pub fn new(quotes: Vec<FxQuote>) -> Result<Self, String> {
        let mut by_pair = BTreeMap::new();
        for (at, quote) in quotes.iter().enumerate() {
            let FxQuote { base, quote: counter, rate, .. } = quote;
            if !(rate.is_finite() && *rate > 0.0) {
                return Err(format!("the rate of {base}{counter} is {rate}"));
            }
            if base == counter {
                return Err(format!("{base}{counter} is no pair of two currencies"));
            }
            if by_pair.insert((base.clone(), counter.clone()), at).is_some() {
                return Err(format!("{base}{counter} is quoted twice"));
            }
        }
        for quote in &quotes {
            if let Some(other) = by_pair.get(&(quote.quote.clone(), quote.base.clone())) {
                let product: f64 = quote.rate * quotes[*other].rate;
                if (product - 1.0).abs() > CROSSED {
                    let (a, b) = (&quote.base, &quote.quote);
                    return Err(format!("{a}{b} and {b}{a} are crossed: their product is {product}"));
                }
            }
        }
        Ok(Self { quotes, by_pair })
    }

    /// The quoted pairs.
    pub fn quotes(&self) -> &[FxQuote] {
        &self.quotes
    }

    fn direct(&self, from: &str, to: &str) -> Option<(usize, bool)> {
        let at = |a: &str, b: &str| self.by_pair.get(&(a.to_owned(), b.to_owned())).copied();
        at(from, to).map(|i| (i, false)).or_else(|| at(to, from).map(|i| (i, true)))
    }

    /// What makes units of `to` out of units of `from`.
    pub fn path(&self, from: &str, to: &str) -> Option<Path> {
        if from == to {
            return Some(Vec::new());
        }
        if let Some(step) = self.direct(from, to) {
            return Some(vec![step]);
        }
        let currencies: BTreeSet<&str> =
            self.quotes.iter().flat_map(|q| [q.base.as_str(), q.quote.as_str()]).collect();
        let preferred = ["USD", "EUR"].into_iter().chain(currencies);
        preferred
            .filter(|via| *via != from && *via != to)
            .find_map(|via| Some(vec![self.direct(from, via)?, self.direct(via, to)?]))
    }

    /// The rate along a path, with every quote multiplied by its factor.
    pub fn along(&self, path: &Path, factor: impl Fn(usize) -> f64) -> f64 {
        path.iter().fold(1.0, |product, (at, inverted)| {
            let rate = self.quotes[*at].rate * factor(*at);
            if *inverted { product / rate } else { product * rate }
        })
    }

    /// Units of `to` for one of `from`.
    pub fn rate(&self, from: &str, to: &str) -> Option<f64> {
        self.path(from, to).map(|path| self.along(&path, |_| 1.0))
    }

    /// The worst quality along a path; crosses are at least interpolated.
    pub fn quality(&self, path: &Path) -> Quality {
        let worst = path.iter().map(|(at, _)| self.quotes[*at].quality).max().unwrap_or_default();
        if path.len() > 1 { worst.max(Quality::Interpolated) } else { worst }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(quotes: &[(&str, f64)]) -> Result<FxRates, String> {
        FxRates::new(
            quotes
                .iter()
                .map(|(pair, rate)| {
                    let (base, quote) = pair_of(pair).unwrap();
                    FxQuote { base, quote, rate: *rate, quality: Quality::Ok }
                })
                .collect(),
        )
    }

    #[test]
    fn crosses_go_over_a_third_currency() {
        let fx = rates(&[("EURUSD", 1.25), ("GBPUSD", 1.5), ("USDJPY", 100.0)]).unwrap();
        assert_eq!(fx.rate("EUR", "EUR"), Some(1.0));
        assert_eq!(fx.rate("USD", "EUR"), Some(0.8));
        assert_eq!(fx.rate("EUR", "JPY"), Some(125.0));
        assert!((fx.rate("EUR", "GBP").unwrap() - 1.25 / 1.5).abs() < 1e-15);
        assert_eq!(fx.rate("EUR", "CHF"), None);
    }

    #[test]
    fn crossed_and_doubled_quotes_are_refused() {
        assert!(rates(&[("EURUSD", 1.25), ("USDEUR", 0.8)]).is_ok());
        assert!(rates(&[("EURUSD", 1.25), ("USDEUR", 0.9)]).unwrap_err().contains("crossed"));
        assert!(rates(&[("EURUSD", 1.25), ("EUR/USD", 1.26)]).is_err());
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(rates(&[("EURUSD", rate)]).is_err());
        }
        assert!(pair_of("EURO").is_err() && rates(&[("EUREUR", 1.0)]).is_err());
    }
}
