//! Where the share of good requests crosses its level, from the shares at rates around it.

/// Rates tried as the edge, evenly spaced by ratio.
const RATES: usize = 600;
/// Steepnesses tried at each.
const SLOPES: usize = 50;
/// By how much the log-likelihood may fall within a 90 % interval: half the 90th percentile of F with 1 and 8 degrees of freedom,
/// and not of χ², because how many independent requests a step has is told from a handful of steps, too.
const FALL: f64 = 3.46 / 2.0;
/// What hardly tells two edges apart.
const EVEN: f64 = 0.01;
/// By what factor the edge may be beyond the rates that were tried.
const BEYOND: f64 = 2.0;

/// The share of good requests at a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) rate: f64,
    /// Good over judged.
    pub(super) good: f64,
    /// How many independent requests it is of.
    pub(super) of: f64,
}

/// The edge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    pub(super) lo: f64,
    pub(super) mid: f64,
    pub(super) hi: f64,
}

/// The rate at which a share that falls with the logarithm of the rate, along a logistic curve of any steepness, crosses
/// `level`; with the 90 % interval of its profile likelihood. Where the fall is so steep that no rate between two is better than
/// another, the interval is these two, and the middle the one between them by ratio.
///
/// `below` is a rate that the edge is known to be below. `None` without a share.
pub(super) fn edge(shares: &[Share], level: f64, below: Option<f64>) -> Option<Edge> {
    let rates = || shares.iter().map(|share| share.rate);
    let least = rates().reduce(f64::min)?;
    let most = rates().reduce(f64::max)?;
    let (from, to) = ((least / BEYOND).ln(), below.map_or((most * BEYOND).ln(), f64::ln));
    // A level that nothing may miss has no odds.
    let level = level.clamp(0.01, 0.999);
    let odds = (level / (1.0 - level)).ln();
    let at = |number: usize| from + (to - from) * number as f64 / (RATES - 1) as f64;
    let likelihoods: Vec<f64> = (0..RATES).map(|number| profile(shares, odds, at(number))).collect();
    let best = likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let within = |fall: f64| {
        let is_in = |likelihood: &f64| *likelihood >= best - fall;
        let first = likelihoods.iter().position(is_in)?;
        let last = likelihoods.iter().rposition(is_in)?;
        Some((at(first), at(last)))
    };
    let ((lo, hi), (first, last)) = (within(FALL)?, within(EVEN)?);
    Some(Edge { lo: lo.exp(), mid: f64::midpoint(first, last).exp(), hi: hi.exp() })
}

/// The log-likelihood of the edge being at e to the `edge`, with the steepness that suits it best.
fn profile(shares: &[Share], odds: f64, edge: f64) -> f64 {
    (0..SLOPES)
        .map(|number| {
            // From a share that hardly depends on the rate to a cliff.
            let slope = 0.5 * 2000_f64.powf(number as f64 / (SLOPES - 1) as f64);
            shares
                .iter()
                .map(|share| {
                    let chance = 1.0 / (1.0 + (slope * (share.rate.ln() - edge) - odds).exp());
                    let chance = chance.clamp(1e-9, 1.0 - 1e-9);
                    share.of * (share.good * chance.ln() + (1.0 - share.good) * (1.0 - chance).ln())
                })
                .sum()
        })
        .fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(rate: f64, good: f64) -> Share {
        Share { rate, good, of: 200.0 }
    }

    #[test]
    fn a_cliff_is_between_its_two_sides() {
        let found =
            edge(&[share(1.0, 1.0), share(2.0, 1.0), share(2.2, 0.0), share(4.0, 0.0)], 0.9, None).expect("an edge");
        assert!((1.95..2.05).contains(&found.lo) && (2.15..2.25).contains(&found.hi), "{found:?}");
        assert!((found.mid - 4.4_f64.sqrt()).abs() < 0.03, "{found:?}");
    }

    #[test]
    fn a_slope_is_crossed_where_the_level_is() {
        let found = edge(&[share(1.0, 0.99), share(2.0, 0.95), share(3.0, 0.85), share(4.0, 0.6)], 0.9, None);
        let found = found.expect("an edge");
        assert!((2.2..2.9).contains(&found.mid) && found.lo > 1.8 && found.hi < 3.2, "{found:?}");
    }

    #[test]
    fn nothing_is_beyond_what_is_known_to_be_too_much() {
        let found = edge(&[share(1.0, 1.0), share(2.0, 1.0)], 0.9, Some(2.5)).expect("an edge");
        assert!(found.hi <= 2.5 + 1e-9 && found.lo > 1.9, "{found:?}");
        assert_eq!(edge(&[], 0.9, None), None);
    }
}
