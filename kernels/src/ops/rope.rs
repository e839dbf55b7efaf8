//! Rotary positions (Su et al., 2021) in the half-split form that Llama and Qwen checkpoints of Hugging Face use: number
//! `i` of a head turns together with number `i + head_dim / 2`.

use crate::KernelError;
use crate::error::{expect_len, expect_multiple};

/// Cosines and sines of every position, computed once.
#[derive(Clone, Debug)]
pub struct RopeTable {
    /// Pairs of a head.
    pairs: usize,
    /// `[position][cosines, sines][pair]`.
    turns: Vec<f32>,
}

impl RopeTable {
    /// The table of the usual frequencies `theta^(-2 i / head_dim)`, for positions below `positions`.
    ///
    /// # Errors
    /// When `head_dim` is odd or zero.
    pub fn new(head_dim: usize, theta: f32, positions: usize) -> Result<Self, KernelError> {
        expect_multiple("head_dim", head_dim, 2)?;
        let frequency = |pair: usize| (f64::from(theta)).powf(-2.0 * pair as f64 / head_dim as f64) as f32;
        let frequencies: Vec<f32> = (0..head_dim / 2).map(frequency).collect();
        Ok(Self::with_frequencies(&frequencies, positions))
    }

    /// The table of given angles per position, one for each pair: for models that scale theirs.
    pub fn with_frequencies(frequencies: &[f32], positions: usize) -> Self {
        let pairs = frequencies.len();
        let mut turns = Vec::with_capacity(positions * pairs * 2);
        for position in 0..positions {
            // The angle is rounded to single precision, as the checkpoints' own code does.
            let angles = frequencies.iter().map(|frequency| f64::from(position as f32 * frequency));
            turns.extend(angles.clone().map(|angle| angle.cos() as f32));
            turns.extend(angles.map(|angle| angle.sin() as f32));
        }
        Self { pairs, turns }
    }

    /// Positions that the table has.
    pub fn positions(&self) -> usize {
        self.turns.len().checked_div(2 * self.pairs).unwrap_or(0)
    }

    /// Turns the rows of `x`, each of `heads` heads, by their `positions`, one for each row.
    ///
    /// # Errors
    /// When `x` has another length or a position is outside the table.
    pub fn apply(&self, x: &mut [f32], heads: usize, positions: &[u32]) -> Result<(), KernelError> {
        let row = heads * 2 * self.pairs;
        expect_len("rows to turn", x.len(), positions.len() * row)?;
        if x.is_empty() {
            return Ok(());
        }
        for (x, &position) in x.chunks_exact_mut(row).zip(positions) {
            let at = position as usize * 2 * self.pairs;
            let Some(turns) = self.turns.get(at..at + 2 * self.pairs) else {
                return Err(KernelError::TableTooShort { covered: self.positions(), needed: position as usize + 1 });
            };
            let (cosines, sines) = turns.split_at(self.pairs);
            for head in x.chunks_exact_mut(2 * self.pairs) {
                let (first, second) = head.split_at_mut(self.pairs);
                for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
                    (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_depends_on_the_distance_of_two_positions_alone() {
        let table = RopeTable::new(64, 10_000.0, 200).expect("an even head");
        let numbers = |step: f32| (0..64).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
        let score = |p: u32, q: u32| {
            let (mut a, mut b) = (numbers(0.7), numbers(1.3));
            table.apply(&mut a, 1, &[p]).expect("in range");
            table.apply(&mut b, 1, &[q]).expect("in range");
            a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
        };
        for (p, q) in [(0, 5), (5, 0), (17, 17), (60, 3)] {
            assert!((score(p, q) - score(p + 120, q + 120)).abs() < 1e-4, "{p} {q}");
        }
        assert!((score(0, 5) - score(0, 6)).abs() > 1e-3, "another distance gives another score");
    }

    #[test]
    fn position_zero_turns_nothing_and_position_one_turns_the_first_pair_by_one_radian() {
        let table = RopeTable::new(4, 100.0, 2).expect("an even head");
        let mut x = [1.0, 2.0, 3.0, 4.0, 1.0, 0.0, 0.0, 1.0];
        table.apply(&mut x, 1, &[0, 1]).expect("in range");
        assert_eq!(x[..4], [1.0, 2.0, 3.0, 4.0]);
        let close = [1_f32.cos(), -(0.1_f32.sin()), 1_f32.sin(), 0.1_f32.cos()];
        assert!(x[4..].iter().zip(close).all(|(x, y)| (x - y).abs() < 1e-6), "{x:?}");
    }

    #[test]
    fn positions_outside_the_table_and_odd_heads_are_refused() {
        let table = RopeTable::new(4, 100.0, 2).expect("an even head");
        assert_eq!(table.positions(), 2);
        assert!(table.apply(&mut [0.0; 4], 1, &[2]).is_err());
        assert!(table.apply(&mut [0.0; 4], 2, &[1]).is_err());
        assert!(RopeTable::new(5, 100.0, 2).is_err());
    }
}
