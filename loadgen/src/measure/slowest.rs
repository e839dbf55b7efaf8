//! The slowest requests of a stretch of time.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::sample::Sample;
use crate::time::Micros;

/// Requests kept by each latency, for every slot of history: as many as a list on the screen has use for.
pub const KEPT: usize = 5;

/// A latency of a request that requests can be ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latency {
    /// Time to first token, from due.
    #[default]
    Ttft,
    /// Time per output token.
    Tpot,
    /// End to end, from due.
    E2e,
}

impl Latency {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ttft, Self::Tpot, Self::E2e];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT",
            Self::Tpot => "TPOT",
            Self::E2e => "E2E",
        }
    }

    /// That of a request; `None` where it is not defined.
    pub fn of(self, sample: &Sample) -> Option<Micros> {
        match self {
            Self::Ttft => sample.ttft(),
            Self::Tpot => sample.tpot(),
            Self::E2e => sample.e2e(),
        }
    }
}

/// The slowest of the requests that completed, by each latency: at most [`KEPT`] each.
///
/// Kept for every slot, the slowest of any stretch of slots are found by merging: those of the whole are among those of its
/// parts. A request is kept without the gaps between its tokens and without what its prompt was made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slowest {
    /// In the order of [`Latency::ALL`]; the slowest first, of equals the one that was due first.
    by: [Vec<Arc<Sample>>; 3],
}

impl Slowest {
    /// Takes a request that completed.
    pub fn offer(&mut self, sample: &Sample) {
        let mut kept = None;
        for (latency, list) in Latency::ALL.into_iter().zip(&mut self.by) {
            if let Some(place) = place(list, latency, sample) {
                let sample = kept.get_or_insert_with(|| Arc::new(outline(sample)));
                list.insert(place, Arc::clone(sample));
                list.truncate(KEPT);
            }
        }
    }

    /// Takes what another stretch of time has kept.
    pub fn merge(&mut self, other: &Self) {
        for (latency, (list, others)) in Latency::ALL.into_iter().zip(self.by.iter_mut().zip(&other.by)) {
            for sample in others {
                if let Some(place) = place(list, latency, sample) {
                    list.insert(place, Arc::clone(sample));
                    list.truncate(KEPT);
                }
            }
        }
    }

    /// The slowest by a latency, the slowest first.
    pub fn by(&self, latency: Latency) -> &[Arc<Sample>] {
        let [ttft, tpot, e2e] = &self.by;
        match latency {
            Latency::Ttft => ttft,
            Latency::Tpot => tpot,
            Latency::E2e => e2e,
        }
    }
}

/// Where in a list a request belongs; `None` when all those in it are slower.
fn place(list: &[Arc<Sample>], latency: Latency, sample: &Sample) -> Option<usize> {
    let rank = |of: &Sample| (Reverse(latency.of(of)), of.index);
    latency.of(sample)?;
    let place = list.partition_point(|kept| rank(kept) < rank(sample));
    (place < KEPT).then_some(place)
}

fn outline(sample: &Sample) -> Sample {
    Sample { gaps: Vec::new(), segments: Vec::new(), outcome: sample.outcome.clone(), ..*sample }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::testing::completed;

    fn all(samples: &[(u64, u64)]) -> Vec<Sample> {
        let numbered = samples.iter().enumerate();
        numbered.map(|(index, (ttft, gap))| completed(index as u64, 0, *ttft, &[*gap])).collect()
    }

    fn numbers(slowest: &Slowest, latency: Latency) -> Vec<u64> {
        slowest.by(latency).iter().map(|sample| sample.index).collect()
    }

    #[test]
    fn one_token_answers_have_a_ttft_and_no_tpot() {
        let mut slowest = Slowest::default();
        slowest.offer(&completed(3, 0, 10, &[]));
        assert_eq!((numbers(&slowest, Latency::Ttft), numbers(&slowest, Latency::Tpot)), (vec![3], vec![]));
    }

    proptest! {
        #[test]
        fn the_slowest_of_the_whole_are_found_among_those_of_its_parts(
            samples in proptest::collection::vec((0_u64..20, 0_u64..20), 0..60),
            cut in 0_usize..60,
        ) {
            let samples = all(&samples);
            let of = |part: &[Sample]| {
                let mut slowest = Slowest::default();
                part.iter().for_each(|sample| slowest.offer(sample));
                slowest
            };
            let (early, late) = samples.split_at(cut.min(samples.len()));
            let mut merged = of(late);
            merged.merge(&of(early));
            prop_assert_eq!(&merged, &of(&samples));
            for latency in Latency::ALL {
                let mut sorted: Vec<&Sample> = samples.iter().collect();
                sorted.sort_by_key(|sample| (Reverse(latency.of(sample)), sample.index));
                let expected: Vec<u64> = sorted.iter().take(KEPT).map(|sample| sample.index).collect();
                prop_assert_eq!(numbers(&merged, latency), expected);
            }
        }
    }
}
