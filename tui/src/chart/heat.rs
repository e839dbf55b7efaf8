//! Latencies as a heatmap: how many requests fell into which band of latency, over time. Nothing is averaged: each cell is a
//! count out of the histograms of the slots.

use loadgen::live::Slot;
use loadgen::measure::SlotHistogram;
use loadgen::time::Micros;

use super::{Mark, TimeAxis};

/// Everything a heatmap shows.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatSpec {
    /// The horizontal axis.
    pub time: TimeAxis,
    /// The lower edges of the bands, from the lowest band, which has all below as well, to the highest, which has all above.
    pub bands: Vec<Micros>,
    /// The place of the band that starts at the bound: what is there or above misses it.
    pub bound: Option<usize>,
    /// Counts, band by band for each column, from left to right.
    pub columns: Vec<Vec<u32>>,
    /// The largest count.
    pub most: u32,
    /// Marks, oldest first.
    pub marks: Vec<Mark>,
    /// The cursor.
    pub cursor: Option<Mark>,
}

/// A bound this many times above or below everything measured is no edge: it would leave the data in a single band.
const FAR: f64 = 4.0;

impl HeatSpec {
    /// The heatmap of `slots` in so many columns and bands; `values` says which latency. A slot wider than a column fills
    /// each of its columns.
    pub fn new(
        slots: &[Slot],
        time: TimeAxis,
        (columns, bands): (usize, usize),
        bound: Option<Micros>,
        values: impl Fn(&Slot) -> &SlotHistogram,
    ) -> Self {
        let (bands, bound) = edges(slots, bands, bound, &values);
        let mut counts = vec![vec![0_u32; bands.len()]; columns];
        for slot in slots {
            let end = Micros((slot.start + slot.length).0.saturating_sub(1));
            let Some(first) = time.column(slot.start.max(time.from), columns) else { continue };
            let last = time.column(end.min(time.to), columns).unwrap_or(first).max(first);
            let mut band = 0;
            for (value, count) in values(slot).buckets() {
                while bands.get(band + 1).is_some_and(|edge| edge.0 < value) {
                    band += 1;
                }
                for column in counts.iter_mut().take(last + 1).skip(first) {
                    if let Some(cell) = column.get_mut(band) {
                        *cell = cell.saturating_add(count);
                    }
                }
            }
        }
        let most = counts.iter().flatten().copied().max().unwrap_or(0);
        Self { time, bands, bound, columns: counts, most, marks: Vec::new(), cursor: None }
    }

    /// How full a cell is, in five levels; `None` for an empty one.
    pub fn level(&self, column: usize, band: usize) -> Option<usize> {
        let count = self.columns.get(column)?.get(band).copied().filter(|count| *count > 0)?;
        // Roots, so that a tail of single requests is told from nothing and a crowd from a few.
        let share = (f64::from(count) / f64::from(self.most.max(1))).sqrt();
        Some(((share * 5.0) as usize).min(4))
    }
}

/// Edges at equal ratios, with the bound on one of them unless it is far from the data.
fn edges(
    slots: &[Slot],
    bands: usize,
    bound: Option<Micros>,
    values: impl Fn(&Slot) -> &SlotHistogram,
) -> (Vec<Micros>, Option<usize>) {
    let lowest = slots.iter().filter_map(|slot| values(slot).buckets().next()).map(|(value, _)| value).min();
    let highest = slots.iter().filter_map(|slot| values(slot).quantile(0.99)).max();
    let (Some(lowest), Some(highest), 1..) = (lowest, highest, bands) else { return (vec![Micros::ZERO; bands], None) };
    let (low, high) = (lowest.max(1) as f64, highest.max(2) as f64);
    let between = |from: f64, to: f64, count: usize| {
        (0..count).map(move |i| Micros((from * (to / from).powf(i as f64 / count as f64)) as u64))
    };
    let near = bound.map(|bound| bound.0 as f64).filter(|b| *b <= high * FAR && *b >= low / FAR);
    let Some(bound) = near.filter(|_| bands >= 2) else {
        let mut all: Vec<Micros> = between(low, high.max(low * 1.5), bands).collect();
        all[0] = Micros::ZERO;
        return (all, None);
    };
    let (low, high) = (low.min(bound / 1.5), high.max(bound * 1.5));
    let share = (bound / low).ln() / (high / low).ln();
    let below = ((share * bands as f64).round() as usize).clamp(1, bands - 1);
    let mut all: Vec<Micros> = between(low, bound, below).chain(between(bound, high, bands - below)).collect();
    all[0] = Micros::ZERO;
    (all, Some(below))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn slot(second: u64, values: &[u64]) -> Slot {
        let mut histogram = SlotHistogram::default();
        for value in values {
            histogram.record(*value);
        }
        let (start, length) = (Micros(second * 1_000_000), Micros(1_000_000));
        Slot { start, length, ttft_values: Arc::new(histogram), ..Slot::default() }
    }

    fn axis(seconds: u64) -> TimeAxis {
        TimeAxis { from: Micros::ZERO, to: Micros(seconds * 1_000_000) }
    }

    #[test]
    fn what_misses_the_bound_lies_in_its_band_or_above() {
        let slots = [slot(0, &[100_000, 390_000]), slot(1, &[410_000, 2_000_000])];
        let heat = HeatSpec::new(&slots, axis(2), (2, 8), Some(Micros(400_000)), |slot| &slot.ttft_values);
        let bound = heat.bound.expect("near the data");
        assert_eq!(heat.bands[bound], Micros(400_000));
        let over: Vec<u32> = heat.columns.iter().map(|bands| bands[bound..].iter().sum()).collect();
        assert_eq!(over, [0, 2]);
    }

    #[test]
    fn a_bound_far_from_the_data_is_no_edge_and_no_data_is_no_level() {
        let slots = [slot(0, &[1_000, 2_000])];
        let far = HeatSpec::new(&slots, axis(1), (1, 4), Some(Micros(400_000)), |slot| &slot.ttft_values);
        assert_eq!(far.bound, None);
        let none = HeatSpec::new(&[slot(0, &[])], axis(1), (3, 4), None, |slot| &slot.ttft_values);
        assert_eq!((none.most, none.level(0, 0), none.level(9, 9)), (0, None, None));
    }

    proptest! {
        #[test]
        fn every_request_is_in_one_band_and_bands_ascend(
            values in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..20), 0..20),
            (columns, bands) in (0..40_usize, 0..12_usize),
            bound in prop::option::of(any::<u64>()),
        ) {
            let slots: Vec<Slot> = values.iter().zip(0..).map(|(values, second)| slot(second, values)).collect();
            let heat = HeatSpec::new(&slots, axis(20), (columns, bands), bound.map(Micros), |slot| &slot.ttft_values);
            prop_assert!(heat.bands.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", heat.bands);
            if columns == 20 && bands > 0 {
                for (column, values) in heat.columns.iter().zip(&values) {
                    prop_assert_eq!(column.iter().sum::<u32>() as usize, values.len());
                }
            }
        }
    }
}
