//! Small systems of linear equations with a symmetric, positive definite matrix, by its Cholesky factor.

/// A lower triangular matrix that, times its transpose, is the matrix it was made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cholesky(Vec<Vec<f64>>);

impl Cholesky {
    /// The factor of a square matrix, of which the lower triangle is read; none where it is not positive definite to rounding.
    pub(super) fn of(matrix: &[Vec<f64>]) -> Option<Self> {
        let mut factor: Vec<Vec<f64>> = Vec::with_capacity(matrix.len());
        for (index, row) in matrix.iter().enumerate() {
            let mut new: Vec<f64> = Vec::with_capacity(index + 1);
            for (column, above) in factor.iter().enumerate() {
                let known: f64 = new.iter().zip(above).map(|(a, b)| a * b).sum();
                new.push((row[column] - known) / above[column]);
            }
            let left = row[index] - new.iter().map(|a| a * a).sum::<f64>();
            // What is left of a pivot is its rounding where the rows depend on each other.
            if !left.is_finite() || left <= 1e-13 * row[index].abs() {
                return None;
            }
            new.push(left.sqrt());
            factor.push(new);
        }
        Some(Self(factor))
    }

    /// What is a factor already.
    pub(super) fn from_lower(lower: Vec<Vec<f64>>) -> Self {
        Self(lower)
    }

    /// The factor times a vector: of independent normal numbers it makes some with the matrix as covariance.
    pub(super) fn times(&self, vector: &[f64]) -> Vec<f64> {
        self.0.iter().map(|row| row.iter().zip(vector).map(|(a, b)| a * b).sum()).collect()
    }

    /// The solution of `matrix · x = right`.
    pub(super) fn solve(&self, right: &[f64]) -> Vec<f64> {
        let size = self.0.len();
        let mut solution: Vec<f64> = Vec::with_capacity(size);
        for (row, right) in self.0.iter().zip(right) {
            let known: f64 = row.iter().zip(&solution).map(|(a, b)| a * b).sum();
            solution.push((right - known) / row[solution.len()]);
        }
        for index in (0..size).rev() {
            let known: f64 = (index + 1..size).map(|below| self.0[below][index] * solution[below]).sum();
            solution[index] = (solution[index] - known) / self.0[index][index];
        }
        solution
    }

    /// The inverse of the matrix.
    pub(super) fn inverse(&self) -> Vec<Vec<f64>> {
        let size = self.0.len();
        let unit = |index: usize| (0..size).map(|other| f64::from(u8::from(other == index))).collect::<Vec<_>>();
        let columns: Vec<Vec<f64>> = (0..size).map(|index| self.solve(&unit(index))).collect();
        // Symmetric to the bit, too.
        let entry = |row: usize, column: usize| columns[row.min(column)][row.max(column)];
        (0..size).map(|row| (0..size).map(|column| entry(row, column)).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved_and_a_singular_one_is_not() {
        let matrix = vec![vec![4.0, 1.0, 0.0], vec![1.0, 3.0, 1.0], vec![0.0, 1.0, 2.0]];
        let factor = Cholesky::of(&matrix).expect("positive definite");
        for (found, expected) in factor.solve(&[6.0, 10.0, 8.0]).iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{found}");
        }
        // By cofactors: the determinant is 18.
        let inverse = factor.inverse();
        for (index, expected) in [5.0 / 18.0, 8.0 / 18.0, 11.0 / 18.0].into_iter().enumerate() {
            assert!((inverse[index][index] - expected).abs() < 1e-12);
        }
        assert!((inverse[0][1] + 2.0 / 18.0).abs() < 1e-12 && (inverse[0][2] - 1.0 / 18.0).abs() < 1e-12);
        let again = factor.times(&[1.0, 0.0, 0.0]);
        assert!((again[0] - 2.0).abs() < 1e-12 && (again[1] - 0.5).abs() < 1e-12 && again[2].abs() < 1e-12);
        assert_eq!(Cholesky::of(&[vec![1.0, 1.0], vec![1.0, 1.0]]), None);
        assert_eq!(Cholesky::of(&[vec![1.0, 2.0], vec![2.0, 1.0]]), None);
    }
}
