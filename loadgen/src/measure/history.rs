//! The history of a run in slots: a second each while they are recent, coarser with age.

use std::sync::Arc;

use crate::live::{FailureCounts, Percentiles, Slot, Snapshot};
use crate::measure::{SlotHistogram, StageHistogram};
use crate::request::Slowest;
use crate::time::Micros;

/// Most slots that are kept. Half of them, half an hour, always keep their one second.
pub(super) const MAX_SLOTS: usize = 3600;

/// Length of a fresh slot.
const SECOND: Micros = Micros(1_000_000);

/// What happened in one slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) start: Micros,
    pub(super) end: Micros,
    pub(super) offered: u64,
    pub(super) completed: u64,
    pub(super) good: Option<u64>,
    /// Requests that ended while there was an SLO to judge them by.
    pub(super) judged: u64,
    pub(super) errors: u64,
    pub(super) failures: FailureCounts,
    /// Answers that came in one piece.
    pub(super) pieces: u64,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    /// Shared with what was published: only a value that comes late copies it.
    pub(super) ttft: Arc<SlotHistogram>,
    pub(super) tpot: Arc<SlotHistogram>,
    pub(super) stages: Arc<StageHistogram>,
    pub(super) slowest: Arc<Slowest>,
    pub(super) then: Option<Arc<Snapshot>>,
}

impl Cell {
    /// Adds a later slot.
    fn merge(&mut self, later: &Self) {
        self.add_counts(later);
        self.add_latencies(later);
        Arc::make_mut(&mut self.slowest).merge(&later.slowest);
        if later.then.is_some() {
            self.then.clone_from(&later.then);
        }
    }

    fn add_counts(&mut self, later: &Self) {
        self.end = later.end;
        self.offered += later.offered;
        self.completed += later.completed;
        self.good = match (self.good, later.good) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0) + b.unwrap_or(0)),
        };
        self.judged += later.judged;
        self.errors += later.errors;
        self.failures.merge(&later.failures);
        self.pieces += later.pieces;
        self.input_tokens += later.input_tokens;
        self.output_tokens += later.output_tokens;
    }

    fn add_latencies(&mut self, later: &Self) {
        Arc::make_mut(&mut self.ttft).merge(&later.ttft);
        Arc::make_mut(&mut self.tpot).merge(&later.tpot);
        Arc::make_mut(&mut self.stages).merge(&later.stages);
    }

    pub(super) fn slot(&self) -> Slot {
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Slot {
            start: self.start,
            length: self.end.since(self.start),
            offered: narrow(self.offered),
            completed: narrow(self.completed),
            good: self.good.map(narrow),
            errors: narrow(self.errors),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            ttft: percentiles(&self.ttft),
            tpot: percentiles(&self.tpot),
            ttft_values: Arc::clone(&self.ttft),
            tpot_values: Arc::clone(&self.tpot),
            stages: Arc::clone(&self.stages),
            slowest: Arc::clone(&self.slowest),
            then: self.then.clone(),
        }
    }
}

/// Counts and latencies of those of `cells` that start at `from` or later and before `to`. Asked for several times a second,
/// it leaves single requests and memories alone.
pub(super) fn sum(cells: &[Cell], from: Micros, to: Micros) -> Option<Cell> {
    let (mut sum, later) = first_and_later(cells, from, to)?;
    for cell in later {
        sum.add_counts(cell);
        sum.add_latencies(cell);
    }
    Some(sum)
}

/// The same for the counts alone.
pub(super) fn sum_counts(cells: &[Cell], from: Micros, to: Micros) -> Option<Cell> {
    let (mut sum, later) = first_and_later(cells, from, to)?;
    later.for_each(|cell| sum.add_counts(cell));
    Some(sum)
}

fn first_and_later(cells: &[Cell], from: Micros, to: Micros) -> Option<(Cell, impl Iterator<Item = &Cell>)> {
    let first = cells.partition_point(|cell| cell.start < from);
    let mut cells = cells[first..].iter().take_while(move |cell| cell.start < to);
    Some((cells.next()?.clone(), cells))
}

/// The percentiles of a histogram of microseconds.
pub(super) fn percentiles(histogram: &SlotHistogram) -> Percentiles {
    let quantile = |q| histogram.quantile(q).map(Micros);
    Percentiles { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) }
}

/// Slots without gaps from the start of the run to now and a little beyond.
///
/// When there are too many, neighbours in the older half are merged pairwise, so the memory of a run of any length is
/// bounded: after `n` doublings of its length the oldest slot is `2^n` seconds long.
#[derive(Debug)]
pub(super) struct History {
    cells: Vec<Cell>,
}

impl History {
    pub(super) fn new(good: Option<u64>) -> Self {
        Self { cells: vec![Cell { end: SECOND, good, ..Cell::default() }] }
    }

    /// Appends slots until the last one contains `until`. Fresh slots start with `good`.
    pub(super) fn extend(&mut self, until: Micros, good: Option<u64>) {
        while let Some(last) = self.cells.last().filter(|last| last.end <= until) {
            let start = last.end;
            // Far more silence than the history has slots (a laptop that slept) becomes one long slot.
            let behind = until.since(start).0 / SECOND.0;
            let seconds = if behind > MAX_SLOTS as u64 { behind } else { 1 };
            let end = start + Micros(seconds * SECOND.0);
            if end == start {
                break;
            }
            self.cells.push(Cell { start, end, good, ..Cell::default() });
            if self.cells.len() > MAX_SLOTS {
                self.coarsen();
            }
        }
    }

    /// The slot that contains `at`, or the nearest.
    pub(super) fn at(&mut self, at: Micros) -> Option<&mut Cell> {
        let after = self.cells.partition_point(|cell| cell.start <= at);
        self.cells.get_mut(after.saturating_sub(1))
    }

    /// The slots that are over at `now`, oldest first.
    pub(super) fn closed(&self, now: Micros) -> &[Cell] {
        &self.cells[..self.cells.partition_point(|cell| cell.end <= now)]
    }

    /// The last slot that is over at `now`.
    pub(super) fn last_closed(&mut self, now: Micros) -> Option<&mut Cell> {
        let closed = self.closed(now).len();
        self.cells.get_mut(closed.checked_sub(1)?)
    }

    /// The slot that `now` lies in.
    pub(super) fn open(&self, now: Micros) -> Option<&Cell> {
        self.cells.get(self.closed(now).len())
    }

    /// Heap bytes of everything kept.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        let of = |c: &Cell| c.ttft.heap_bytes() + c.tpot.heap_bytes() + c.stages.heap_bytes() + c.slowest.heap_bytes();
        self.cells.capacity() * size_of::<Cell>() + self.cells.iter().map(of).sum::<usize>()
    }

    fn coarsen(&mut self) {
        let recent = self.cells.split_off(self.cells.len() / 2);
        let mut older = std::mem::take(&mut self.cells).into_iter();
        while let Some(mut cell) = older.next() {
            if let Some(later) = older.next() {
                cell.merge(&later);
            }
            self.cells.push(cell);
        }
        self.cells.extend(recent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_each_other_without_gap_at_any_age() {
        let mut history = History::new(None);
        for second in 0..20_000 {
            history.extend(Micros(second * SECOND.0), None);
            history.at(Micros(second * SECOND.0)).expect("a slot").offered += 1;
        }
        assert!(history.cells.len() <= MAX_SLOTS);
        assert_eq!(history.cells.iter().map(|c| c.offered).sum::<u64>(), 20_000);
        for cell in history.closed(Micros(20_000 * SECOND.0)) {
            assert_eq!(cell.end.since(cell.start).0, cell.offered * SECOND.0, "one a second");
        }
        assert!(history.cells.windows(2).all(|pair| pair[0].end == pair[1].start));
        let recent = &history.cells[history.cells.len() - MAX_SLOTS / 2..];
        assert!(recent.iter().all(|c| c.end.since(c.start) == SECOND));
    }

    #[test]
    fn a_long_silence_costs_one_slot() {
        let mut history = History::new(None);
        let woken = Micros(1_000_000 * SECOND.0);
        history.extend(woken, None);
        assert!(history.cells.len() < 10);
        assert!(history.open(woken).is_some_and(|open| open.end > woken));
        assert!(history.cells.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn the_end_of_time_is_reached_without_looping() {
        let mut history = History::new(None);
        history.extend(Micros(u64::MAX), None);
        history.extend(Micros(u64::MAX), None);
        assert!(history.cells.len() < 10);
    }
}
