//! What so many good requests say of the share that would be good for ever.

use crate::plan::Interval;

/// Two-sided 90 %.
pub(super) const NINE_IN_TEN: f64 = 1.645;
/// Two-sided 99 %: of verdicts before the end, which are looked for several times in a step.
pub(super) const NEARLY_SURE: f64 = 2.576;
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

/// Requests apart beyond which likeness is not looked for.
const LAGS: usize = 500;

/// How many requests, in the order of being due, are worth one that is independent: requests that queue together are good or
/// bad together. It is the sum of the autocorrelations to either side, as far as pairs of them are positive (Geyer 1992), and
/// at most a third of the requests. Where all are alike nothing can be told: then it is 1.
pub(super) fn alike(good: &[bool]) -> f64 {
    let count = good.len() as f64;
    let share = good.iter().filter(|good| **good).count() as f64 / count.max(1.0);
    let variance = share * (1.0 - share);
    if variance <= 0.0 {
        return 1.0;
    }
    let off: Vec<f64> = good.iter().map(|good| f64::from(u8::from(*good)) - share).collect();
    let correlation =
        |lag: usize| off.iter().zip(off.iter().skip(lag)).map(|(a, b)| a * b).sum::<f64>() / count / variance;
    let mut sum = 1.0;
    for lag in (1..(good.len() / 2).min(LAGS)).step_by(2) {
        let pair = correlation(lag) + correlation(lag + 1);
        if pair <= 0.0 {
            break;
        }
        sum += 2.0 * pair;
    }
    sum.clamp(1.0, (count / 3.0).max(1.0))
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
        assert!(alike(&apart) < 1.1, "{}", alike(&apart));
        assert!((10.0..40.0).contains(&alike(&runs)), "{}", alike(&runs));
        assert!((alike(&[true; 50]) - 1.0).abs() < 1e-9 && (alike(&[]) - 1.0).abs() < 1e-9);
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
