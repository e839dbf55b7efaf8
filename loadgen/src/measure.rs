//! Figures of a run while it goes on: counts, windows, history, lag and the tool's own health.
//!
//! [`Aggregator`] owns every window. It is told what happens and what time it is; it reads no clock, so that a live run, a
//! simulated one and a recording played back give the same figures.
//!
//! Percentiles always come from merged histograms. Whole-run figures are kept to three digits ([`Distribution`], dense),
//! slots of history to two (sparse, because most of them hold few values). Where the time of a TTFT goes is kept in sums by the
//! length of the TTFT ([`StageHistogram`]), which merge as exactly.

mod aggregator;
mod distribution;
mod failed;
mod goodput;
mod health;
mod history;
mod lag;
mod slot_histogram;
mod stage_histogram;
mod stages;
mod standing;

/// The place, from 1, of a quantile (0..=1) among `count` values in order, by nearest rank: of the smallest value that at least
/// that share of all do not exceed.
pub(crate) fn rank(quantile: f64, count: u64) -> u64 {
    // The product rounded up; where it is whole, it may come out a hair above that. 0.28 · 25 does.
    (((quantile - f64::EPSILON) * count as f64).ceil() as u64).max(1)
}

pub use aggregator::Aggregator;
pub use distribution::Distribution;
pub use failed::Failed;
pub use health::{Client, LAG_LIMIT};
pub use lag::LagSummary;
pub use slot_histogram::SlotHistogram;
pub use stage_histogram::{MeanStages, StageHistogram};
pub(crate) use stages::whole;
pub use stages::{Span, Stage, StageTimes};
pub(crate) use standing::Standing;

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn every_histogram_has_the_same_rank_and_it_is_exact_where_it_is_whole() {
        for count in 1..=1_000_u64 {
            for per_mille in 0..=1_000_u64 {
                let exact = (count * per_mille).div_ceil(1_000).max(1);
                assert_eq!(rank(per_mille as f64 / 1e3, count), exact, "{per_mille} of a thousand of {count}");
            }
        }
        assert_eq!((rank(0.5, 0), rank(1.0, 7)), (1, 7));
    }
}
