//! Which rate is tried next: bracketed by factors of two, then bisected by ratio.

use super::Verdict;

/// Halvings, below where it starts, before it is given up.
const REACH: i32 = 12;

/// Where the search is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hunt {
    start: f64,
    most: f64,
    /// Ratio of the two sides at which they are close enough.
    resolution: f64,
    /// The highest rate at which the SLO was met.
    pub(super) low: Option<f64>,
    /// The lowest rate at which it was not, and whether that was the client's fault.
    pub(super) high: Option<(f64, bool)>,
}

impl Hunt {
    /// From `start` requests per second, up to `most`.
    pub(super) fn new(start: f64, most: f64, resolution: f64) -> Self {
        Self { start: start.min(most), most, resolution, low: None, high: None }
    }

    /// The next rate; `None` when there is nothing left to find.
    pub(super) fn next(&self) -> Option<f64> {
        match (self.low, self.high) {
            (None, None) => Some(self.start),
            (Some(low), None) => (low < self.most).then(|| (low * 2.0).min(self.most)),
            (None, Some((high, _))) => (high > self.start * 0.5_f64.powi(REACH)).then_some(high / 2.0),
            (Some(low), Some((high, _))) => (high / low > self.resolution).then(|| (low * high).sqrt()),
        }
    }

    /// What came of `rate`.
    pub(super) fn told(&mut self, rate: f64, verdict: Verdict) {
        match verdict {
            Verdict::Met => self.low = Some(rate),
            Verdict::Missed | Verdict::Unsteady => self.high = Some((rate, false)),
            Verdict::Client => self.high = Some((rate, true)),
            Verdict::Undecided => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_edge_within_reach_is_found_in_few_steps(start in 0.01..100.0_f64, ratio in -9.0..9.0_f64) {
            let edge = start * 2_f64.powf(ratio);
            let mut hunt = Hunt::new(start, 1e6, 1.05);
            let mut steps = 0;
            while let Some(rate) = hunt.next() {
                hunt.told(rate, if rate <= edge { Verdict::Met } else { Verdict::Missed });
                steps += 1;
            }
            let (low, (high, _)) = (hunt.low.expect("met"), hunt.high.expect("missed"));
            prop_assert!(low <= edge && edge < high && high / low <= 1.05 && steps <= 16, "{low} {edge} {high} in {steps}");
        }
    }

    #[test]
    fn what_is_never_met_and_what_always_is_have_an_end() {
        let mut hopeless = Hunt::new(1.0, 1e6, 1.05);
        let mut steps = 0;
        while let Some(rate) = hopeless.next() {
            hopeless.told(rate, Verdict::Missed);
            steps += 1;
        }
        assert_eq!((hopeless.low, steps), (None, 13));
        let mut easy = Hunt::new(1.0, 50.0, 1.05);
        while let Some(rate) = easy.next() {
            easy.told(rate, Verdict::Met);
        }
        assert_eq!((easy.low, easy.high), (Some(50.0), None));
    }
}
