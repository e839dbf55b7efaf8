//! From values that only grow to what is new since they were last seen.

use std::collections::{BTreeMap, HashMap};

use super::families::Tally;
use super::vocabulary::{Counter, Sums, Timed, Timer};
use crate::time::Micros;

/// Series that are remembered of a source; more are left out.
const MAX_SERIES: usize = 16_384;
/// Pages after which a series that is gone is forgotten: that of a process that has ended.
const FORGET: u64 = 600;

/// One series of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Series {
    /// What tells it apart from all others of its source.
    pub(super) id: u64,
    pub(super) tally: Tally,
    pub(super) rank: u8,
    pub(super) value: f64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    value: f64,
    page: u64,
}

/// The last values of a source.
///
/// What comes out is never negative: a value that is smaller than the one before was set back, by a process that began anew, and
/// all of it is new. So is the first value of a series that comes later than the source; of the first page nothing is known to be
/// new.
///
/// Where the page says when its process began, a balancer before several of them is told from a process that began anew: that is
/// younger than the one before, and its page is another first one. A page of an older one, or a value that falls while the process
/// is the same, shows several of them: what each has counted cannot be told from there on.
#[derive(Debug, Default)]
pub(super) struct Memory {
    seen: HashMap<u64, Seen>,
    pages: u64,
    /// When the process began.
    started: Option<f64>,
    /// Nothing on this page is known to be new.
    is_first: bool,
    /// An older process has followed a younger one.
    alternates: bool,
    /// A value has fallen while the process was the same.
    falls: bool,
}

impl Memory {
    /// Another page of the source begins, of a process that began at `started`. `false` for a first one, of which nothing is known
    /// to be new.
    pub(super) fn page(&mut self, started: Option<f64>) -> bool {
        self.pages += 1;
        if self.pages.is_multiple_of(FORGET) {
            let oldest = self.pages - FORGET;
            self.seen.retain(|_, seen| seen.page > oldest);
        }
        self.is_first = self.pages == 1;
        if let Some(now) = started
            && let Some(before) = self.started.replace(now)
            && now.total_cmp(&before).is_ne()
        {
            self.alternates |= now < before;
            self.seen.clear();
            self.is_first = true;
        }
        self.is_first |= self.alternates;
        !self.is_first
    }

    /// Whether more than one process has been seen to answer.
    pub(super) fn is_of_several(&self) -> bool {
        self.alternates || self.falls
    }

    /// What is new in the series of a row: nothing is known to be where several processes answer.
    pub(super) fn take(&mut self, series: &[Series]) -> Sums {
        let mut new = Growth::default();
        let fell = |one: &Series| self.seen.get(&one.id).is_some_and(|before| one.value < before.value);
        let falls = self.started.is_some() && !self.is_first && series.iter().any(fell);
        self.falls |= falls;
        for one in series {
            if let Some(by) = self.growth(one) {
                new.add(one.tally, one.rank, by);
            }
        }
        if self.is_of_several() { Sums::default() } else { new.sums() }
    }

    fn growth(&mut self, series: &Series) -> Option<f64> {
        let Series { id, value, .. } = *series;
        if !(value.is_finite() && value >= 0.0) {
            return None;
        }
        let page = self.pages;
        if self.seen.len() >= MAX_SERIES && !self.seen.contains_key(&id) {
            return None;
        }
        match self.seen.insert(id, Seen { value, page }) {
            _ if self.is_first => Some(0.0),
            Some(before) if value >= before.value => Some(value - before.value),
            // It began anew, or is new.
            Some(_) | None => Some(value),
        }
    }
}

/// What grew, by rank: of names that mean the same, those with the lowest rank that are there at all.
#[derive(Default)]
struct Growth {
    counts: [Option<(u8, f64)>; Counter::ALL.len()],
    sums: [Option<(u8, f64)>; Timer::ALL.len()],
    taken: [Option<(u8, f64)>; Timer::ALL.len()],
    /// By upper bounds: how many more there are up to there.
    within: [Option<(u8, BTreeMap<u64, f64>)>; Timer::ALL.len()],
}

impl Growth {
    fn add(&mut self, tally: Tally, rank: u8, by: f64) {
        let place = match tally {
            Tally::Count(counter) => &mut self.counts[counter as usize],
            Tally::Sum(timer) => &mut self.sums[timer as usize],
            Tally::Taken(timer) => &mut self.taken[timer as usize],
            Tally::Within(timer, bound) => return self.add_within(timer, bound, rank, by),
        };
        *place = match *place {
            Some((best, sum)) if best == rank => Some((best, sum + by)),
            Some((best, sum)) if best < rank => Some((best, sum)),
            _ => Some((rank, by)),
        };
    }

    fn add_within(&mut self, timer: Timer, bound: u64, rank: u8, by: f64) {
        let place = &mut self.within[timer as usize];
        if place.as_ref().is_none_or(|(best, _)| rank < *best) {
            *place = Some((rank, BTreeMap::new()));
        }
        if let Some((_, bounds)) = place.as_mut().filter(|(best, _)| *best == rank) {
            *bounds.entry(bound).or_default() += by;
        }
    }

    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for counter in Counter::ALL {
            if let Some((_, count)) = self.counts[counter as usize] {
                sums.add_count(counter, count.round() as u64);
            }
        }
        for timer in Timer::ALL {
            if let Some(((_, sum), (_, taken))) = self.sums[timer as usize].zip(self.taken[timer as usize]) {
                sums.add_time(timer, Timed::exact(taken.round() as u64, Micros(sum.round() as u64)));
            } else if let Some((_, bounds)) = &self.within[timer as usize] {
                sums.add_time(timer, bounded(bounds));
            }
        }
        sums
    }
}

/// A time by how often it was at most each bound: what lies between two bounds is at least the lower and at most the upper one. What
/// lies beyond the last finite bound is taken to lie at it, which is 80 s or more where buckets are used.
fn bounded(bounds: &BTreeMap<u64, f64>) -> Timed {
    let mut time = Timed::default();
    let (mut lower, mut up_to) = (0, 0.0);
    for (&bound, &more) in bounds {
        let upper = if bound == u64::MAX { lower } else { bound };
        // Bounds are counted one after the other: a request that ends between two looks is in the later ones alone.
        let within = (more - up_to).max(0.0).round() as u64;
        time.taken = time.taken.saturating_add(within);
        time.least = time.least + Micros(within.saturating_mul(lower));
        time.most = time.most + Micros(within.saturating_mul(upper));
        (lower, up_to) = (upper, more.max(up_to));
    }
    time
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn output(id: u64, value: f64) -> Series {
        Series { id, tally: Tally::Count(Counter::Output), rank: 0, value }
    }

    fn counted(memory: &mut Memory, series: &[Series]) -> Option<u64> {
        memory.page(None);
        memory.take(series).count(Counter::Output)
    }

    #[test]
    fn the_first_page_is_where_counting_begins() {
        let mut memory = Memory::default();
        assert!(!memory.page(None));
        assert_eq!(memory.take(&[output(1, 1000.0)]).count(Counter::Output), Some(0));
        assert!(memory.page(None));
        assert_eq!(memory.take(&[output(1, 1007.0)]).count(Counter::Output), Some(7));
    }

    #[test]
    fn a_series_that_comes_later_and_one_that_was_set_back_are_all_new() {
        let mut memory = Memory::default();
        assert_eq!(counted(&mut memory, &[output(1, 100.0)]), Some(0));
        assert_eq!(counted(&mut memory, &[output(1, 110.0), output(2, 5.0)]), Some(15));
        assert_eq!(counted(&mut memory, &[output(1, 3.0), output(2, 5.0)]), Some(3));
        assert_eq!(counted(&mut memory, &[]), None, "nobody told");
        assert_eq!(
            counted(&mut memory, &[output(1, 4.0), output(2, 6.0)]),
            Some(2),
            "a page without it is no end of it"
        );
    }

    #[test]
    fn processes_that_answer_in_turn_are_told_from_one_that_began_anew() {
        let mut memory = Memory::default();
        let mut page = |started, value| {
            memory.page(Some(started));
            let count = memory.take(&[output(1, value)]).count(Counter::Output);
            (count, memory.is_of_several())
        };
        assert_eq!(page(10.0, 5000.0), (Some(0), false));
        assert_eq!(page(10.0, 5007.0), (Some(7), false));
        assert_eq!(page(20.0, 3.0), (Some(0), false), "it began anew");
        assert_eq!(page(20.0, 5.0), (Some(2), false));
        assert_eq!(page(10.0, 5009.0), (None, true));
        assert_eq!(page(20.0, 6.0), (None, true));
        let mut memory = Memory::default();
        let counts = [5000.0, 300.0, 310.0].map(|value| {
            memory.page(Some(10.0));
            memory.take(&[output(1, value)]).count(Counter::Output)
        });
        assert_eq!((counts, memory.is_of_several()), ([Some(0), None, None], true));
    }

    #[test]
    fn of_names_that_mean_the_same_the_best_that_is_there_counts() {
        let mut memory = Memory::default();
        let older = |value| Series { rank: 1, ..output(9, value) };
        assert_eq!(counted(&mut memory, &[older(10.0), output(1, 10.0)]), Some(0));
        assert_eq!(counted(&mut memory, &[older(20.0), output(1, 12.0)]), Some(2));
        assert_eq!(counted(&mut memory, &[older(25.0)]), Some(5));
    }

    #[test]
    fn a_time_needs_its_sum_and_its_count() {
        let mut memory = Memory::default();
        let of = |tally, id, value| Series { id, tally, rank: 0, value };
        let page = |sum, taken| [of(Tally::Sum(Timer::Queue), 1, sum), of(Tally::Taken(Timer::Queue), 2, taken)];
        memory.page(None);
        memory.take(&page(5e6, 10.0));
        memory.page(None);
        let sums = memory.take(&page(5.5e6, 12.0));
        assert_eq!(sums.time(Timer::Queue), Some(Timed::exact(2, Micros(500_000))));
        memory.page(None);
        assert_eq!(memory.take(&page(6e6, 13.0)[..1]).time(Timer::Queue), None);
    }

    #[test]
    fn of_buckets_the_sum_is_known_by_its_bounds() {
        let mut memory = Memory::default();
        let of = |bound, id, value| Series { id, tally: Tally::Within(Timer::Queue, bound), rank: 0, value };
        let page = |counts: [f64; 4]| {
            [100, 200, 400, u64::MAX].into_iter().zip(1..).zip(counts).map(|((bound, id), value)| of(bound, id, value))
        };
        let mut counted = |counts| {
            memory.page(None);
            memory.take(&page(counts).collect::<Vec<_>>()).time(Timer::Queue)
        };
        assert_eq!(counted([5.0, 7.0, 7.0, 7.0]), Some(Timed::default()));
        let expected = Timed { taken: 4, least: Micros(100 + 200 + 400), most: Micros(100 + 200 + 400 + 400) };
        assert_eq!(counted([6.0, 9.0, 10.0, 11.0]), Some(expected));
        assert_eq!(counted([6.0, 9.0, 10.0, 11.0]).and_then(Timed::mean), None);
    }

    #[test]
    fn series_that_are_gone_are_forgotten_and_more_than_there_is_room_for_are_left_out() {
        let mut memory = Memory::default();
        let many: Vec<Series> = (0..2 * MAX_SERIES as u64).map(|id| output(id, 1.0)).collect();
        counted(&mut memory, &many);
        assert_eq!(memory.seen.len(), MAX_SERIES);
        for _ in 0..2 * FORGET {
            counted(&mut memory, &[]);
        }
        assert!(memory.seen.is_empty());
    }

    proptest! {
        /// What is told as new, all in all, is what a counter has grown by, whatever resets there were.
        #[test]
        fn growth_adds_up_over_resets(start in 0_u32..1000, steps in proptest::collection::vec((0_u32..50, any::<bool>()), 0..40)) {
            let mut memory = Memory::default();
            let mut value = f64::from(start);
            counted(&mut memory, &[output(1, value)]);
            let (mut told, mut grown) = (0, 0.0);
            for (by, resets) in steps {
                let by = f64::from(by);
                // A reset that nobody could see, because it has grown beyond its old value again, is not told apart.
                if resets && by < value {
                    value = by;
                } else {
                    value += by;
                }
                grown += by;
                told += counted(&mut memory, &[output(1, value)]).unwrap_or(0);
            }
            prop_assert_eq!(told, grown as u64);
        }

        #[test]
        fn no_value_is_too_strange(values in proptest::collection::vec(any::<f64>(), 0..40)) {
            let mut memory = Memory::default();
            for value in values {
                counted(&mut memory, &[output(1, value)]);
            }
        }
    }
}
