//! Small systems of linear equations with a symmetric, positive definite matrix.

/// The solution of `matrix · x = right`, or none where the matrix is singular to rounding.
pub(super) fn solve(matrix: Vec<Vec<f64>>, right: Vec<f64>) -> Option<Vec<f64>> {
    let (mut rows, size) = (matrix, right.len());
    for (row, value) in rows.iter_mut().zip(right) {
        row.push(value);
    }
    for column in 0..size {
        let pivot = (column..size).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        rows.swap(column, pivot);
        let top = rows[column].clone();
        if top[column].abs() < 1e-300 || !top[column].is_finite() {
            return None;
        }
        for (index, row) in rows.iter_mut().enumerate() {
            if index != column {
                let factor = row[column] / top[column];
                row.iter_mut().zip(&top).for_each(|(value, above)| *value -= factor * above);
            }
        }
    }
    let solution: Vec<f64> = rows.iter().enumerate().map(|(index, row)| row[size] / row[index]).collect();
    solution.iter().all(|x| x.is_finite()).then_some(solution)
}

/// The diagonal of the inverse; empty where the matrix is singular to rounding.
pub(super) fn inverse_diagonal(matrix: &[Vec<f64>]) -> Vec<f64> {
    let unit = |index: usize| (0..matrix.len()).map(|i| if i == index { 1.0 } else { 0.0 }).collect();
    let entries = (0..matrix.len()).map(|index| solve(matrix.to_vec(), unit(index)).map(|column| column[index]));
    entries.collect::<Option<Vec<f64>>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_solved_and_a_singular_one_is_not() {
        let matrix = vec![vec![4.0, 1.0, 0.0], vec![1.0, 3.0, 1.0], vec![0.0, 1.0, 2.0]];
        let solution = solve(matrix.clone(), vec![6.0, 10.0, 8.0]).expect("solvable");
        for (found, expected) in solution.iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{solution:?}");
        }
        // By cofactors: the determinant is 18.
        for (found, expected) in inverse_diagonal(&matrix).iter().zip([5.0 / 18.0, 8.0 / 18.0, 11.0 / 18.0]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert_eq!(solve(vec![vec![1.0, 1.0], vec![1.0, 1.0]], vec![1.0, 2.0]), None);
    }
}
