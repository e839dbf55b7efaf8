//! What so many good requests say of the share that would be good for ever.

use crate::plan::Interval;

/// Two-sided 90 %.
pub(super) const NINE_IN_TEN: f64 = 1.645;
/// Two-sided 99 %: of verdicts before the end, which are looked for several times in a step.
pub(super) const NEARLY_SURE: f64 = 2.576;
/// Parts that a window is cut into to see how much alike neighbours are.
const BATCHES: usize = 10;
/// Requests of a part, below which the parts say nothing.
const BATCH: usize = 5;

/// The score interval of a share (Wilson 1927): `good` of `judged`, `z` standard deviations to either side.
pub(super) fn wilson(good: f64, judged: f64, z: f64) -> Interval {
    if judged <= 0.0 {
        return Interval { lo: 0.0, mid: 0.0, hi: 1.0 };
    }
    let share = good / judged;
    let shrunk = 1.0 + z * z / judged;
    let centre = (share + z * z / (2.0 * judged)) / shrunk;
    let half = z / shrunk * (share * (1.0 - share) / judged + z * z / (4.0 * judged * judged)).sqrt();
    Interval { lo: (centre - half).max(0.0).min(share), mid: share, hi: (centre + half).min(1.0).max(share) }
}

/// How many independent requests these are worth, in the order of being due. Requests that queue together are good or bad
/// together; the spread of the means of consecutive parts tells how much.
pub(super) fn effective(good: &[bool]) -> f64 {
    let count = good.len() as f64;
    let size = good.len() / BATCHES;
    let share = good.iter().filter(|good| **good).count() as f64 / count.max(1.0);
    if size < BATCH || share <= 0.0 || share >= 1.0 {
        return count;
    }
    let means: Vec<f64> = good
        .chunks_exact(size)
        .take(BATCHES)
        .map(|part| part.iter().filter(|good| **good).count() as f64 / size as f64)
        .collect();
    let mean = means.iter().sum::<f64>() / means.len() as f64;
    let variance = means.iter().map(|part| (part - mean).powi(2)).sum::<f64>() / (means.len() - 1) as f64;
    let independent = share * (1.0 - share) / size as f64;
    // Never worth more than they are many; each part is worth one at least.
    count / (variance / independent).clamp(1.0, size as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sixty_good_ones_of_sixty_are_nearly_surely_nine_in_ten() {
        assert!(wilson(60.0, 60.0, NEARLY_SURE).lo > 0.9 && wilson(59.0, 59.0, NEARLY_SURE).lo < 0.9);
        assert_eq!(wilson(0.0, 0.0, NINE_IN_TEN), Interval { lo: 0.0, mid: 0.0, hi: 1.0 });
    }

    #[test]
    fn what_comes_in_runs_is_worth_less() {
        let apart: Vec<bool> = (0..200).map(|index| index % 4 > 0).collect();
        let runs: Vec<bool> = (0..200).map(|index| (index / 20) % 4 > 0).collect();
        assert!(effective(&apart) > 190.0, "{}", effective(&apart));
        assert!(effective(&runs) < 30.0, "{}", effective(&runs));
        assert!((effective(&[true; 50]) - 50.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_interval_is_around_the_share_and_shrinks(good in 0_u32..=300, more in 0_u32..300, z in 0.5..4.0_f64) {
            let judged = good + more;
            prop_assume!(judged > 0);
            let one = wilson(f64::from(good), f64::from(judged), z);
            let ten = wilson(f64::from(good) * 10.0, f64::from(judged) * 10.0, z);
            prop_assert!(0.0 <= one.lo && one.lo <= one.mid && one.mid <= one.hi && one.hi <= 1.0);
            prop_assert!(ten.hi - ten.lo <= one.hi - one.lo);
        }
    }
}
