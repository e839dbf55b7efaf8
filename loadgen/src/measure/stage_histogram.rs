//! The stages of TTFT by the length of the TTFT that they belong to.

use super::rank;
use super::stages::StageTimes;
use crate::time::Micros;

/// Bands to every power of two.
const PER_OCTAVE: u64 = 8;
/// TTFTs below this share a band, in microseconds.
const SHORTEST: u64 = 1 << 10;

/// The mean stages of some requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeanStages {
    /// How many.
    pub requests: u64,
    /// The mean of each stage; together the mean TTFT of these requests.
    pub times: StageTimes,
}

/// For every band of TTFT the sum of each stage, stored sparsely.
///
/// "The stages of p99 TTFT" are the mean stages of the requests in the band of the 99th percentile and in those above it: a
/// sum over a count, exact, and the same whether slots were merged before or after. "The stages of the median" are those of
/// the band that the median lies in. Bands are an eighth of a power of two, at most 12.5 % wide: wide enough that a second
/// of load fills few of them (80 bytes each), narrow enough that what is in one is alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageHistogram {
    /// Ordered by number, none without requests.
    bands: Vec<Band>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Band {
    number: u16,
    requests: u32,
    sums: StageTimes,
}

impl StageHistogram {
    /// Counts a request with a first token.
    pub fn record(&mut self, times: &StageTimes) {
        self.add(&Band { number: band(times.total()), requests: 1, sums: *times });
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if self.bands.is_empty() {
            self.bands.clone_from(&other.bands);
            return;
        }
        for band in &other.bands {
            self.add(band);
        }
        self.bands.shrink_to_fit();
    }

    fn add(&mut self, other: &Band) {
        match self.bands.binary_search_by_key(&other.number, |band| band.number) {
            Ok(at) => {
                let band = &mut self.bands[at];
                band.requests = band.requests.saturating_add(other.requests);
                band.sums.add(&other.sums);
            }
            Err(at) => self.bands.insert(at, other.clone()),
        }
    }

    /// How many requests were counted.
    pub fn requests(&self) -> u64 {
        self.bands.iter().map(|band| u64::from(band.requests)).sum()
    }

    /// The stages of all requests; `None` without any.
    pub fn all(&self) -> Option<MeanStages> {
        mean(&self.bands)
    }

    /// The stages of the requests in the band of this quantile of TTFT, 0..=1; `None` without any.
    pub fn at(&self, quantile: f64) -> Option<MeanStages> {
        let index = self.index(quantile)?;
        mean(self.bands.get(index..=index)?)
    }

    /// The stages of the requests in the band of this quantile of TTFT, 0..=1, and above; `None` without any.
    pub fn from(&self, quantile: f64) -> Option<MeanStages> {
        mean(self.bands.get(self.index(quantile)?..)?)
    }

    /// The band that the smallest TTFT lies in which at least that share of the TTFTs do not exceed.
    fn index(&self, quantile: f64) -> Option<usize> {
        let rank = rank(quantile, self.requests());
        let mut seen = 0;
        let found = self.bands.iter().position(|band| {
            seen += u64::from(band.requests);
            seen >= rank
        });
        found.or(self.bands.len().checked_sub(1))
    }

    /// Heap bytes.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.bands.capacity() * size_of::<Band>()
    }
}

fn mean(bands: &[Band]) -> Option<MeanStages> {
    let mut sums = StageTimes::default();
    let mut requests = 0;
    for band in bands {
        requests += u64::from(band.requests);
        sums.add(&band.sums);
    }
    (requests > 0).then(|| MeanStages { requests, times: sums.mean(requests) })
}

/// The number of the band of a TTFT: 0 below the shortest, then eight to every power of two.
fn band(ttft: Micros) -> u16 {
    if ttft.0 < SHORTEST {
        return 0;
    }
    let octave = u64::from(ttft.0.ilog2());
    let eighth = (ttft.0 >> (octave - u64::from(PER_OCTAVE.ilog2()))) - PER_OCTAVE;
    (1 + (octave - u64::from(SHORTEST.ilog2())) * PER_OCTAVE + eighth) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::Stage;

    fn request(queue: u64, prefill: u64) -> StageTimes {
        StageTimes::from_stages([(Stage::Queue, Micros(queue)), (Stage::Prefill, Micros(prefill))])
    }

    fn of(requests: &[(u64, u64)]) -> StageHistogram {
        let mut histogram = StageHistogram::default();
        for (queue, prefill) in requests {
            histogram.record(&request(*queue, *prefill));
        }
        histogram
    }

    #[test]
    fn bands_rise_with_ttft_and_are_an_eighth_of_an_octave() {
        assert_eq!([0, 1_023, 1_024, 1_151, 1_152, 2_047, 2_048].map(|t| band(Micros(t))), [0, 0, 1, 1, 2, 8, 9]);
        assert!(band(Micros(u64::MAX)) < 500);
    }

    #[test]
    fn the_tail_is_told_apart_from_the_median() {
        let mut requests = vec![(1_000, 99_000); 98];
        requests.extend([(900_000, 100_000), (940_000, 60_000)]);
        let histogram = of(&requests);
        let median = histogram.at(0.5).expect("requests");
        assert_eq!((median.requests, median.times.get(Stage::Queue)), (98, Micros(1_000)));
        let tail = histogram.from(0.99).expect("requests");
        assert_eq!((tail.requests, tail.times.get(Stage::Queue)), (2, Micros(920_000)));
        assert_eq!(tail.times.total(), Micros(1_000_000), "the mean TTFT of the tail");
        assert_eq!(histogram.all().map(|all| all.requests), Some(100));
        assert_eq!(StageHistogram::default().from(0.99), None);
    }

    proptest! {
        #[test]
        fn merging_equals_recording_all(
            a in prop::collection::vec((0..5_000_000u64, 0..900_000u64), 0..40),
            b in prop::collection::vec((0..5_000_000u64, 0..900_000u64), 0..40),
        ) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }

        #[test]
        fn the_mean_of_all_is_the_mean_ttft(requests in prop::collection::vec((0..5_000_000u64, 0..900_000u64), 1..40)) {
            let mean = of(&requests).all().expect("requests").times.total().0;
            let exact = requests.iter().map(|(q, p)| q + p).sum::<u64>() / requests.len() as u64;
            prop_assert!(mean.abs_diff(exact) <= Stage::TTFT.len() as u64, "{mean} is {exact} but for rounding");
        }
    }
}
