//! The little linear algebra that is needed: symmetric positive definite
//! systems of the size of the known texts.

/// Dot product in four lanes.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (left, right) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in left.zip(right) {
        for i in 0..8 {
            lanes[i] += a[i] * b[i];
        }
    }
    lanes.iter().sum::<f64>() + rest
}

/// A square matrix by rows.
#[derive(Debug, Clone)]
pub(crate) struct Square {
    pub size: usize,
    pub values: Vec<f64>,
}

impl Square {
    pub fn zero(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.size + column]
    }

    pub fn set(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.size + column] = value;
    }

    pub fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.size..(row + 1) * self.size]
    }

    /// The lower factor L with L·Lᵀ = self; `None` if not positive definite.
    fn cholesky(&self) -> Option<Self> {
        let n = self.size;
        let mut factor = Self::zero(n);
        for i in 0..n {
            for j in 0..=i {
                let (a, b) = (&factor.row(i)[..j], &factor.row(j)[..j]);
                let rest = self.at(i, j) - dot(a, b);
                let value = match i == j {
                    true if rest > 0.0 => rest.sqrt(),
                    true => return None,
                    false => rest / factor.at(j, j),
                };
                factor.set(i, j, value);
            }
        }
        Some(factor)
    }

    /// The inverse of a positive definite matrix.
    pub fn inverse(&self) -> Option<Self> {
        let factor = self.cholesky()?;
        let n = self.size;
        // Rows of the inverse of Lᵀ, which are columns of that of L.
        let mut columns = Self::zero(n);
        for j in 0..n {
            for i in j..n {
                let known = dot(&factor.row(i)[j..i], &columns.row(j)[j..i]);
                let unit = if i == j { 1.0 } else { 0.0 };
                columns.set(j, i, (unit - known) / factor.at(i, i));
            }
        }
        let mut inverse = Self::zero(n);
        for i in 0..n {
            for j in 0..=i {
                let value = dot(&columns.row(i)[i..], &columns.row(j)[i..]);
                inverse.set(i, j, value);
                inverse.set(j, i, value);
            }
        }
        Some(inverse)
    }

    /// The part of these rows and columns.
    pub fn part(&self, indexes: &[usize]) -> Self {
        let mut part = Self::zero(indexes.len());
        for (i, row) in indexes.iter().enumerate() {
            for (j, column) in indexes.iter().enumerate() {
                part.set(i, j, self.at(*row, *column));
            }
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inverse_times_its_matrix_is_one() {
        let n = 13;
        let mut matrix = Square::zero(n);
        for i in 0..n {
            for j in 0..n {
                matrix.set(i, j, 1.0 / (1.0 + (i as f64 - j as f64).abs()) + f64::from(u8::from(i == j)));
            }
        }
        let inverse = matrix.inverse().unwrap();
        for i in 0..n {
            for j in 0..n {
                let found = dot(matrix.row(i), inverse.row(j));
                assert!((found - f64::from(u8::from(i == j))).abs() < 1e-12);
            }
        }
        matrix.set(0, 0, -1.0);
        assert!(matrix.inverse().is_none());
    }
}
