//! Least squares with costs that are not negative, and draws of what they leave open. Pure.
//!
//! Each cost is measured by what it would be if it alone took all of the time: so far from nothing it may be by what is believed
//! beforehand, and the more the data tell the less that matters. A draw solves the same problem for data and beliefs that
//! are off by chance, which keeps what is known of sums of costs where the single ones are not.

use super::stretches::Stretch;

/// Rounds in which stretches that do not fit lose weight.
const ROUNDS: usize = 6;
/// Residuals from which on they do, in standard deviations.
const ODD: f64 = 2.0;
/// No stretch is believed to fit better than so, relative to its length.
const EXACT: f64 = 0.01;
/// A cost whose share of the time is less certain than this is not told apart from others.
const UNSURE: f64 = 0.12;

type Square<const N: usize> = [[f64; N]; N];

/// A fit, in shares of the time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Solved<const N: usize> {
    /// What each cost would be if it took all of the time; 0 for what never occurred.
    pub(super) scales: [f64; N],
    pub(super) costs: [f64; N],
    /// Standard deviation of a stretch from its fit, relative to it.
    pub(super) residual: f64,
    /// Costs that cannot be told apart from others, by their places.
    pub(super) unsure: Vec<usize>,
    normal: Square<N>,
    right: [f64; N],
}

/// Fits. `None` where there is nothing to fit to.
pub(super) fn solve<const N: usize>(stretches: &[Stretch<N>]) -> Option<Solved<N>> {
    let total: f64 = stretches.iter().map(|stretch| stretch.weight).sum();
    if stretches.is_empty() || total <= 0.0 {
        return None;
    }
    let scales = scales(stretches);
    // In shares of each stretch's own time at first, later of the fitted.
    let mut costs = [0.0; N];
    let mut residual = 0.1;
    let mut fitted = None;
    for round in 0..ROUNDS {
        let (mut normal, mut right) = ([[0.0; N]; N], [0.0; N]);
        let (mut squares, mut weights) = (0.0, 0.0);
        for stretch in stretches {
            let parts: [f64; N] = std::array::from_fn(|at| stretch.parts[at] * scales[at]);
            let believed: f64 = parts.iter().zip(&costs).map(|(part, cost)| part * cost).sum();
            let scale = if round == 0 || believed <= 0.0 { stretch.seconds } else { believed };
            let off = if round == 0 { 0.0 } else { (stretch.seconds - believed).abs() / scale };
            let weight = stretch.weight * (ODD * residual / off.max(1e-12)).min(1.0);
            squares += weight * off.min(ODD * residual * 2.0).powi(2);
            weights += weight;
            let weight = weight / (scale * scale);
            for row in 0..N {
                right[row] += weight * parts[row] * stretch.seconds;
                for column in 0..N {
                    normal[row][column] += weight * parts[row] * parts[column];
                }
            }
        }
        if round > 0 {
            residual = (squares / weights.max(1e-9)).sqrt().max(EXACT);
        }
        let variance = residual * residual;
        for row in 0..N {
            normal[row].iter_mut().for_each(|value| *value /= variance);
            right[row] /= variance;
            normal[row][row] += 1.0;
        }
        costs = non_negative(&normal, &right)?;
        fitted = Some((normal, right));
    }
    let (normal, right) = fitted?;
    let occurs = |at: &usize| scales[*at] > 0.0;
    let unsure = (0..N).filter(occurs).filter(|&at| deviation(&normal, at).is_none_or(|deviation| deviation > UNSURE));
    Some(Solved { scales, costs, residual, unsure: unsure.collect(), normal, right })
}

impl<const N: usize> Solved<N> {
    /// Seconds of each cost.
    pub(super) fn seconds(&self) -> [f64; N] {
        std::array::from_fn(|at| self.costs[at] * self.scales[at])
    }

    /// The same as they might be. `normal` gives normally distributed numbers.
    pub(super) fn draw(&self, mut normal: impl FnMut() -> f64) -> [f64; N] {
        let Some(root) = root(&self.normal, (1 << N) - 1) else { return self.seconds() };
        let chances: [f64; N] = std::array::from_fn(|_| normal());
        let right: [f64; N] = std::array::from_fn(|row| {
            self.right[row] + (0..=row).map(|column| root[row][column] * chances[column]).sum::<f64>()
        });
        let costs = non_negative(&self.normal, &right).unwrap_or(self.costs);
        std::array::from_fn(|at| costs[at] * self.scales[at])
    }
}

/// Of each cost the time of the stretches in which it occurs, over how often it does.
fn scales<const N: usize>(stretches: &[Stretch<N>]) -> [f64; N] {
    std::array::from_fn(|at| {
        let with = || stretches.iter().filter(|stretch| stretch.parts[at] > 0.0);
        let seconds: f64 = with().map(|stretch| stretch.weight * stretch.seconds).sum();
        let parts: f64 = with().map(|stretch| stretch.weight * stretch.parts[at]).sum();
        if parts > 0.0 { seconds / parts } else { 0.0 }
    })
}

/// The best costs of which none is negative: of every choice of costs that are not nothing, the best that is allowed.
fn non_negative<const N: usize>(normal: &Square<N>, right: &[f64; N]) -> Option<[f64; N]> {
    let mut best: Option<(f64, [f64; N])> = None;
    for chosen in 0_usize..1 << N {
        let Some(costs) = chosen_alone(normal, right, chosen) else { continue };
        if costs.iter().any(|cost| *cost < 0.0 || !cost.is_finite()) {
            continue;
        }
        // What is left of the sum of squares, but for a constant: half the gradient and the right side.
        let left = -costs.iter().zip(right).map(|(cost, right)| cost * right).sum::<f64>();
        if best.is_none_or(|(least, _)| left < least) {
            best = Some((left, costs));
        }
    }
    best.map(|(_, costs)| costs)
}

/// The best costs where only those are something whose bit is set.
fn chosen_alone<const N: usize>(normal: &Square<N>, right: &[f64; N], chosen: usize) -> Option<[f64; N]> {
    let root = root(normal, chosen)?;
    let is_chosen = |at: usize| chosen & (1 << at) != 0;
    let mut half = [0.0; N];
    for row in (0..N).filter(|row| is_chosen(*row)) {
        let before: f64 = (0..row).map(|column| root[row][column] * half[column]).sum();
        half[row] = (right[row] - before) / root[row][row];
    }
    let mut costs = [0.0; N];
    for row in (0..N).rev().filter(|row| is_chosen(*row)) {
        let behind: f64 = (row + 1..N).map(|column| root[column][row] * costs[column]).sum();
        costs[row] = (half[row] - behind) / root[row][row];
    }
    Some(costs)
}

/// The lower triangle whose product with itself is the matrix, of the chosen rows and columns alone; others are nothing.
fn root<const N: usize>(matrix: &Square<N>, chosen: usize) -> Option<Square<N>> {
    let is_chosen = |at: usize| chosen & (1 << at) != 0;
    let mut root = [[0.0; N]; N];
    for row in (0..N).filter(|row| is_chosen(*row)) {
        for column in (0..=row).filter(|column| is_chosen(*column)) {
            let known: f64 = (0..column).map(|at| root[row][at] * root[column][at]).sum();
            let left = matrix[row][column] - known;
            if row == column {
                if left <= 0.0 {
                    return None;
                }
                root[row][row] = left.sqrt();
            } else {
                root[row][column] = left / root[column][column];
            }
        }
    }
    Some(root)
}

/// The standard deviation of a cost when nothing is known of the others.
fn deviation<const N: usize>(normal: &Square<N>, at: usize) -> Option<f64> {
    let unit: [f64; N] = std::array::from_fn(|row| f64::from(u8::from(row == at)));
    let column = chosen_alone(normal, &unit, (1 << N) - 1)?;
    Some(column[at].max(0.0).sqrt())
}
