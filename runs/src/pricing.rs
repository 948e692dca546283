//! A task's positions priced, as cells in columns.

use domain::valuation::cells::{Column, Dimensions, Flagged, Rates, TaskCells, Unit};
use models_pricing::book::{self, Book};
use models_pricing::market::Market;
use models_pricing::measures::Measure;
use models_pricing::position::Position;
use models_pricing::scenario::{Scenario, Shifts};
use sha2::{Digest, Sha256};

/// The bucket of a position: SHA-256 of its id, as a number, modulo.
pub fn bucket(position_id: &str, modulus: u32) -> u32 {
    let digest = Sha256::digest(position_id.as_bytes());
    let modulus = u64::from(modulus.max(1));
    let rest = digest.iter().fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % modulus);
    // Less than a number of 32 bits.
    rest as u32
}

/// Everything that a task's numbers depend on.
pub struct Job<'a> {
    pub market: &'a Market,
    pub scenarios: &'a [Scenario],
    pub positions: &'a [Position],
    pub measures: &'a [Measure],
    pub base_currency: Option<&'a str>,
}

/// The same job gives the same cells. `None` if `go_on` said no.
pub fn price(job: &Job<'_>, go_on: &dyn Fn() -> bool) -> Result<Option<TaskCells>, String> {
    let shifts = Shifts::new(job.scenarios, job.market)?;
    let book = Book::new(job.positions, job.market, job.base_currency);
    let Some(columns) = book.columns(job.market, &shifts, job.measures, go_on) else { return Ok(None) };
    let positions = job.positions.iter().zip(columns.currencies);
    let positions = positions.map(|(position, currency)| Dimensions {
        position_id: position.position_id.clone(),
        book: position.book.clone(),
        product_type: position.product_type.clone(),
        instrument_id: position.instrument_id.clone(),
        currency,
        tags: position.tags.clone(),
    });
    let rate = |rate: f64| rate.is_finite().then_some(rate);
    let rates = columns.rates.into_iter().map(|rates| Rates {
        currency: rates.currency,
        to_base: rates.to_base.into_iter().map(rate).collect(),
    });
    Ok(Some(TaskCells {
        model: job.market.model.name(),
        base_currency: job.base_currency.map(str::to_owned),
        positions: positions.collect(),
        scenarios: shifts.ids.clone(),
        rates: rates.collect(),
        columns: columns.measures.into_iter().map(column).collect(),
    }))
}

/// What a measure's numbers are in.
pub fn unit(measure: Measure) -> Unit {
    match measure {
        Measure::PvBase => Unit::Base,
        measure if measure.is_amount() => Unit::Trade,
        _ => Unit::Plain,
    }
}

fn column(column: book::Column) -> Column {
    let flagged = column.flagged.into_iter().map(|flagged| Flagged {
        from: flagged.cells.start,
        to: flagged.cells.end,
        code: flagged.flag.code.to_owned(),
        reason: flagged.flag.reason,
    });
    Column {
        measure: column.measure.name().to_owned(),
        unit: unit(column.measure),
        qualities: column.qualities.iter().map(|quality| quality.name().to_owned()).collect(),
        flagged: flagged.collect(),
        details: column.details,
        values: column.values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the replaced service had them.
    #[test]
    fn buckets_are_those_of_the_hash() {
        let of = |id| bucket(id, 8);
        assert_eq!((of("POS-SFC_5685642"), of("POS-SFC_5707491"), of("POS-SFC_5724283")), (0, 3, 5));
        assert!((0..100).all(|n| bucket(&n.to_string(), 7) < 7 && bucket(&n.to_string(), 1) == 0));
    }
}
