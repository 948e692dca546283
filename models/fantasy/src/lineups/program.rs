//! Linear programs with few rows and many columns of ones, solved again and
//! again as columns are added and bounds move.
//!
//! By the dual simplex method: every column has bounds, so whatever changes,
//! those that rest at one of them can be put where their reduced worth has the
//! right sign, and solving goes on from the basis at hand. Passing a column's
//! breakpoint moves it to its other bound, which makes hundreds of steps one.
//!
//! A row may be broken, at a price. So there always is a solution.

/// Below this a reduced worth is nothing.
const SMALL: f64 = 1e-9;
/// A part that is smaller is what rounding left.
const PIVOT: f64 = 1e-7;
/// By how much a value may be outside of its bounds.
const OUTSIDE: f64 = 1e-7;
/// Columns that are put in order first.
const FEW: usize = 24;
/// Pivots until the inverse is made anew.
const FRESH: usize = 100;

/// Where a column is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Low,
    High,
    /// In the basis, in this place.
    Basis(usize),
}

/// The most worth of columns whose sums by row keep to bounds.
#[derive(Debug, Clone)]
pub struct Program {
    rows: usize,
    /// Of each added column its rows, so many, filled up with `rows`.
    members: Vec<u8>,
    stride: usize,
    /// By column. First, for each row: its sum, what it lacks, what is too much.
    worth: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
    at: Vec<At>,
    /// Worth beside the rows' prices; 0 in the basis.
    reduced: Vec<f64>,
    basis: Vec<usize>,
    /// Values in the basis.
    values: Vec<f64>,
    /// Of the basis, row by row.
    inverse: Vec<f64>,
    age: usize,
    /// Of the step that is made: each column's part in the row that is left.
    parts: Vec<f64>,
}

impl Program {
    /// Sums of rows are within bounds; what is outside costs `breaking` each.
    /// A column is in `most` rows at most.
    pub fn new(bounds: &[(f64, f64)], breaking: f64, most: usize) -> Self {
        let rows = bounds.len();
        let mut program = Self {
            rows,
            members: Vec::new(),
            stride: most,
            worth: Vec::new(),
            low: Vec::new(),
            high: Vec::new(),
            at: Vec::new(),
            reduced: Vec::new(),
            basis: (0..rows).map(|row| 3 * row).collect(),
            values: vec![0.0; rows],
            inverse: Vec::new(),
            age: 0,
            parts: Vec::new(),
        };
        for (row, (low, high)) in bounds.iter().enumerate() {
            for (worth, low, high) in [(0.0, *low, *high), (-breaking, 0.0, f64::INFINITY)] {
                program.column(worth, low, high);
            }
            program.column(-breaking, 0.0, f64::INFINITY);
            program.at[3 * row] = At::Basis(row);
        }
        program.renew();
        program
    }

    fn column(&mut self, worth: f64, low: f64, high: f64) {
        self.worth.push(worth);
        self.low.push(low);
        self.high.push(high);
        self.reduced.push(worth);
        self.at.push(At::Low);
    }

    /// A column of ones in these rows that is taken from 0 to 1 times.
    pub fn add(&mut self, rows: impl Iterator<Item = usize>, worth: f64) -> usize {
        let column = self.worth.len();
        let before = self.members.len();
        self.members.extend(rows.take(self.stride).map(|row| row as u8));
        self.members.resize(before + self.stride, self.rows as u8);
        self.column(worth, 0.0, 1.0);
        let prices: f64 = self.members[before..].iter().map(|row| self.price(*row as usize)).sum();
        self.reduced[column] = worth - prices;
        column
    }

    /// The column of a row's sum, for [`Program::bound`] and [`Program::value`].
    pub fn sum(&self, row: usize) -> usize {
        3 * row
    }

    /// Moves the bounds of a column.
    pub fn bound(&mut self, column: usize, low: f64, high: f64) {
        (self.low[column], self.high[column]) = (low, high);
    }

    /// How often a column is taken.
    pub fn value(&self, column: usize) -> f64 {
        match self.at[column] {
            At::Low => self.low[column],
            At::High => self.high[column],
            At::Basis(place) => self.values[place],
        }
    }

    /// What one more in the row costs.
    pub fn price(&self, row: usize) -> f64 {
        // The sum's own column is −1 in its row and worth nothing.
        if row < self.rows { self.reduced[3 * row] } else { 0.0 }
    }

    /// A column's worth beside the prices of its rows.
    pub fn reduced(&self, column: usize) -> f64 {
        self.reduced[column]
    }

    /// Worth of all that is taken.
    pub fn total(&self) -> f64 {
        (0..self.worth.len()).map(|column| self.worth[column] * self.value(column)).sum()
    }

    /// By how much rows are broken together.
    pub fn broken(&self) -> f64 {
        (0..self.rows).map(|row| self.value(3 * row + 1) + self.value(3 * row + 2)).sum()
    }

    /// Goes on to the best solution; false where it is not there after so many
    /// steps.
    pub fn solve(&mut self, steps: usize) -> bool {
        self.rest();
        for _ in 0..steps {
            if self.age >= FRESH {
                self.renew();
            }
            let Some((place, too_high)) = self.outside() else { return true };
            if !self.step(place, too_high) {
                return false;
            }
        }
        false
    }

    /// Puts columns outside of the basis where their reduced worth wants them.
    fn rest(&mut self) {
        for column in 0..self.worth.len() {
            let reduced = self.reduced[column];
            match self.at[column] {
                // What cannot be broken without end stays where it is.
                At::Low if reduced > SMALL && self.high[column].is_finite() => self.at[column] = At::High,
                At::High if reduced < -SMALL => self.at[column] = At::Low,
                _ => {}
            }
        }
        self.take_stock();
    }

    /// The column's ones and minus ones.
    fn entries(&self, column: usize) -> impl Iterator<Item = (usize, f64)> {
        let first = 3 * self.rows;
        let (own, members): (_, &[u8]) = if column < first {
            (Some((column / 3, if column % 3 == 1 { 1.0 } else { -1.0 })), &[])
        } else {
            let from = (column - first) * self.stride;
            (None, &self.members[from..from + self.stride])
        };
        let ones = members.iter().map(|row| (*row as usize, 1.0)).filter(|(row, _)| *row < self.rows);
        own.into_iter().chain(ones)
    }

    /// Values in the basis, from those outside of it.
    fn take_stock(&mut self) {
        let mut sums = vec![0.0; self.rows];
        for column in 0..self.worth.len() {
            let value = self.value(column);
            if value != 0.0 && !matches!(self.at[column], At::Basis(_)) {
                self.entries(column).for_each(|(row, one)| sums[row] += one * value);
            }
        }
        for place in 0..self.rows {
            let inverse = &self.inverse[place * self.rows..(place + 1) * self.rows];
            self.values[place] = -inverse.iter().zip(&sums).map(|(a, b)| a * b).sum::<f64>();
        }
    }

    /// What in the basis is most outside of its bounds; whether above.
    fn outside(&self) -> Option<(usize, bool)> {
        let mut most = (OUTSIDE, None);
        for (place, column) in self.basis.iter().enumerate() {
            let value = self.values[place];
            let (above, below) = (value - self.high[*column], self.low[*column] - value);
            if above.max(below) > most.0 {
                most = (above.max(below), Some((place, above > below)));
            }
        }
        most.1
    }

    /// Takes what is outside of its bounds out of the basis. False where there
    /// is nothing for it, which only rounding could bring about.
    fn step(&mut self, place: usize, too_high: bool) -> bool {
        let leaving = self.basis[place];
        let target = if too_high { self.high[leaving] } else { self.low[leaving] };
        let slope = (self.values[place] - target).abs();
        self.part(place);
        let Some(entering) = self.entering(slope, if too_high { 1.0 } else { -1.0 }) else { return false };
        let column = self.through(entering);
        let step = (self.values[place] - target) / column[place];
        let start = self.value(entering);
        for (value, part) in self.values.iter_mut().zip(&column) {
            *value -= step * part;
        }
        self.values[place] = start + step;
        let price = self.reduced[entering] / self.parts[entering];
        for (reduced, part) in self.reduced.iter_mut().zip(&self.parts) {
            *reduced -= price * part;
        }
        self.reduced[leaving] = -price;
        self.reduced[entering] = 0.0;
        self.at[leaving] = if too_high { At::High } else { At::Low };
        self.at[entering] = At::Basis(place);
        self.basis[place] = entering;
        self.turn(place, &column);
        self.age += 1;
        true
    }

    /// What each column outside of the basis adds to the value in this place,
    /// taken away.
    fn part(&mut self, place: usize) {
        let mut row = self.inverse[place * self.rows..(place + 1) * self.rows].to_vec();
        row.push(0.0);
        self.parts.clear();
        for of in &row[..self.rows] {
            self.parts.extend([-of, *of, -of]);
        }
        let added = self.members.chunks_exact(self.stride);
        self.parts.extend(added.map(|rows| rows.iter().map(|r| row[*r as usize]).sum::<f64>()));
        for column in &self.basis {
            self.parts[*column] = 0.0;
        }
    }

    /// Which column comes in; those that are passed go to their other bound.
    fn entering(&mut self, mut slope: f64, sign: f64) -> Option<usize> {
        let mut may: Vec<(f64, usize)> = Vec::new();
        for (column, part) in self.parts.iter().enumerate() {
            let part = sign * part;
            let helps = match self.at[column] {
                At::Low => part > PIVOT,
                At::High => part < -PIVOT,
                At::Basis(_) => false,
            };
            if helps && self.low[column] < self.high[column] {
                may.push((self.reduced[column].abs() / part.abs(), column));
            }
        }
        let size = |column: usize| self.parts[column].abs();
        let order = |(a, i): &(f64, usize), (b, j): &(f64, usize)| {
            a.total_cmp(b).then(size(*j).total_cmp(&size(*i))).then(i.cmp(j))
        };
        // Most often the first few are enough.
        if may.len() > FEW {
            may.select_nth_unstable_by(FEW, order);
            let reach: f64 = may[..FEW].iter().map(|(_, c)| size(*c) * (self.high[*c] - self.low[*c])).sum();
            if reach > slope {
                may.truncate(FEW);
            }
        }
        may.sort_unstable_by(order);
        let last = may.iter().position(|(_, column)| {
            slope -= size(*column) * (self.high[*column] - self.low[*column]);
            slope < SMALL
        })?;
        // Of those that come at the same time the largest part rounds least.
        let same = may[last..].iter().take_while(|(ratio, _)| *ratio <= may[last].0 + SMALL);
        let found =
            same.map(|(_, column)| *column).max_by(|a, b| size(*a).total_cmp(&size(*b)).then(b.cmp(a)))?;
        let passed = last;
        let mut moved = vec![0.0; self.rows];
        for (_, column) in &may[..passed] {
            let range = self.high[*column] - self.low[*column];
            let (at, by) = if self.at[*column] == At::Low { (At::High, range) } else { (At::Low, -range) };
            self.at[*column] = at;
            self.entries(*column).for_each(|(row, one)| moved[row] += one * by);
        }
        if passed > 0 {
            for place in 0..self.rows {
                let inverse = &self.inverse[place * self.rows..(place + 1) * self.rows];
                self.values[place] -= inverse.iter().zip(&moved).map(|(a, b)| a * b).sum::<f64>();
            }
        }
        Some(found)
    }

    /// A column seen through the inverse.
    fn through(&self, column: usize) -> Vec<f64> {
        let mut seen = vec![0.0; self.rows];
        for (row, one) in self.entries(column) {
            for (place, seen) in seen.iter_mut().enumerate() {
                *seen += one * self.inverse[place * self.rows + row];
            }
        }
        seen
    }

    /// The inverse of the basis in which this column has come to a place.
    fn turn(&mut self, place: usize, column: &[f64]) {
        let own: Vec<f64> = self.inverse[place * self.rows..(place + 1) * self.rows]
            .iter()
            .map(|of| of / column[place])
            .collect();
        for (other, inverse) in self.inverse.chunks_exact_mut(self.rows).enumerate() {
            if other == place {
                inverse.copy_from_slice(&own);
            } else if column[other] != 0.0 {
                inverse.iter_mut().zip(&own).for_each(|(of, own)| *of -= column[other] * own);
            }
        }
    }

    /// Inverse, values and reduced worths from the beginning: what many steps
    /// have rounded away is right again.
    fn renew(&mut self) {
        self.age = 0;
        let n = self.rows;
        // A basis of sums alone, into which the others come one by one.
        self.inverse = vec![0.0; n * n];
        (0..n).for_each(|i| self.inverse[i * n + i] = -1.0);
        let basis = std::mem::replace(&mut self.basis, (0..n).map(|row| 3 * row).collect());
        let mut own: Vec<bool> = self.basis.iter().map(|sum| basis.contains(sum)).collect();
        for column in basis.iter().filter(|column| **column >= 3 * n || *column % 3 != 0) {
            self.at[*column] = At::Low;
            let seen = self.through(*column);
            let free = (0..n).filter(|place| !own[*place]);
            let place = free.max_by(|a, b| seen[*a].abs().total_cmp(&seen[*b].abs()));
            // As many come as places are free; who is no pivot is left out.
            let Some(place) = place.filter(|place| seen[*place].abs() > PIVOT) else { continue };
            self.turn(place, &seen);
            (self.basis[place], own[place]) = (*column, true);
        }
        for row in 0..n {
            self.at[3 * row] = At::Low;
        }
        for (place, column) in self.basis.iter().enumerate() {
            self.at[*column] = At::Basis(place);
        }
        let mut prices = vec![0.0; n];
        for (place, column) in self.basis.iter().enumerate() {
            let inverse = &self.inverse[place * n..(place + 1) * n];
            prices.iter_mut().zip(inverse).for_each(|(price, of)| *price += self.worth[*column] * of);
        }
        for column in 0..self.worth.len() {
            let cost: f64 = self.entries(column).map(|(row, one)| one * prices[row]).sum();
            self.reduced[column] = self.worth[column] - cost;
        }
        for column in &self.basis {
            self.reduced[*column] = 0.0;
        }
        self.rest();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rng::Rng;

    const BREAKING: f64 = 1e4;

    /// So many columns in some of these rows.
    fn program(rows: &[(f64, f64)], columns: usize, rng: &mut Rng) -> (Program, Vec<Vec<usize>>) {
        let mut program = Program::new(rows, BREAKING, rows.len());
        let mut of = Vec::new();
        add(&mut program, &mut of, columns, rng);
        (program, of)
    }

    fn add(program: &mut Program, of: &mut Vec<Vec<usize>>, columns: usize, rng: &mut Rng) {
        for _ in 0..columns {
            let rows: Vec<usize> = (0..program.rows).filter(|row| *row == 0 || rng.below(3) == 0).collect();
            let value = f64::from(rng.below(40) as u32) + rng.normal() * 1e-7;
            program.add(rows.iter().copied(), value);
            of.push(rows);
        }
    }

    /// Nothing is outside of its bounds, and prices show that nothing is better.
    fn is_best(program: &Program, rows: &[(f64, f64)], of: &[Vec<usize>]) {
        let mut sums = vec![0.0; rows.len()];
        let mut bound = 0.0;
        for (i, members) in of.iter().enumerate() {
            let (column, value) = (3 * rows.len() + i, program.value(3 * rows.len() + i));
            assert!(program.low[column] - 1e-6 <= value && value <= program.high[column] + 1e-6);
            members.iter().for_each(|row| sums[*row] += value);
            let price: f64 = members.iter().map(|row| program.price(*row)).sum();
            let reduced = program.worth[column] - price;
            bound += (reduced * program.high[column]).max(reduced * program.low[column]);
        }
        for (row, sum) in sums.iter().enumerate() {
            let price = program.price(row);
            let (low, high) = (program.low[3 * row], program.high[3 * row]);
            bound += (price * low).max(price * high);
            let broken = (low - sum).max(sum - high).max(0.0);
            assert!((program.value(3 * row + 1) + program.value(3 * row + 2) - broken).abs() < 1e-5);
        }
        assert!((program.total() - bound).abs() < 1e-4, "{} {bound}", program.total());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn prices_prove_what_is_found(seed: u64, rows in 1_usize..9, columns in 1_usize..60) {
            let mut rng = Rng::new(seed);
            let mut bounds = vec![(4.0, 4.0)];
            bounds.extend((1..rows).map(|_| (rng.below(3) as f64, 2.0 + rng.below(4) as f64)));
            let (mut program, mut of) = program(&bounds, columns, &mut rng);
            prop_assert!(program.solve(1_000));
            is_best(&program, &bounds, &of);
            // From there with more columns, and with some of them held.
            add(&mut program, &mut of, columns, &mut rng);
            prop_assert!(program.solve(1_000));
            is_best(&program, &bounds, &of);
            let held = (0..4).map(|_| 3 * rows + rng.below(of.len())).collect::<Vec<_>>();
            for (i, column) in held.iter().enumerate() {
                let at = (i % 2) as f64;
                program.bound(*column, at, at);
                prop_assert!(program.solve(1_000));
                is_best(&program, &bounds, &of);
            }
            held.iter().for_each(|column| program.bound(*column, 0.0, 1.0));
            program.bound(program.sum(0), 2.0, 3.0);
            prop_assert!(program.solve(1_000));
            is_best(&program, &bounds, &of);
            program.renew();
            is_best(&program, &bounds, &of);
        }
    }

    #[test]
    fn what_cannot_hold_is_broken_least() {
        // Three of a row that only two columns are in.
        let mut program = Program::new(&[(3.0, 3.0), (0.0, 1.0)], BREAKING, 2);
        program.add([0, 1].into_iter(), 5.0);
        program.add([0].into_iter(), 1.0);
        assert!(program.solve(100));
        assert!((program.broken() - 1.0).abs() < 1e-9, "{}", program.broken());
        assert!((program.total() - (6.0 - BREAKING)).abs() < 1e-6);
    }
}
