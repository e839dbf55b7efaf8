//! The requests that were offered in the last minute.

use std::collections::VecDeque;
use std::sync::Arc;

use super::fitted::{SightLog, Sights};
use crate::sample::Sample;
use crate::schedule::{Planned, Segment};
use crate::time::Micros;

/// How far back traffic is remembered.
pub(super) const WINDOW: Micros = Micros(60_000_000);
/// Most requests that are remembered; of more the oldest are forgotten, and the window is shorter.
const MOST: usize = 20_000;
/// Most requests of a slice.
const SLICE: usize = 2_000;
/// By what share of the larger a planned rate has to change to be another load.
const ANOTHER: f64 = 0.1;
/// After a change of the load, what came before is forgotten once so many requests and so much time are new.
const ENOUGH: (usize, Micros) = (30, Micros(5_000_000));

/// One request as it was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// When it was due.
    pub due: Micros,
    /// Tokens of its prompt.
    pub input_tokens: u32,
    /// Tokens asked of its answer.
    pub output_tokens: u32,
    /// What its prompt is made of.
    pub segments: Arc<[Segment]>,
}

/// Requests of a stretch of time. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Its start.
    pub from: Micros,
    /// Its end.
    pub to: Micros,
    /// The requests in the order of being due, a slice for each second or so.
    slices: Vec<Arc<Vec<Offered>>>,
    /// Tokens that came of those asked, in answers that completed.
    pub answered: f64,
    /// What requests that are over tell of the units.
    pub sights: Sights,
}

impl Observed {
    /// Of these requests, in the order of being due.
    pub fn new(from: Micros, to: Micros, requests: Vec<Offered>) -> Self {
        Self { from, to, slices: vec![Arc::new(requests)], answered: 1.0, sights: Sights::default() }
    }

    /// The requests, in the order of being due.
    pub fn requests(&self) -> impl Iterator<Item = &Offered> {
        let within = |offered: &&Offered| (self.from..self.to).contains(&offered.due);
        self.slices.iter().flat_map(|slice| slice.iter()).filter(within)
    }

    /// How long it is.
    pub fn length(&self) -> Micros {
        self.to.since(self.from)
    }

    /// Requests per second.
    pub fn rate_rps(&self) -> f64 {
        self.requests().count() as f64 / self.length().as_secs_f64().max(1e-3)
    }
}

/// Remembers what is offered. The observing thread's; what it hands out shares the memory.
#[derive(Debug, Default)]
pub(crate) struct TrafficLog {
    closed: VecDeque<Arc<Vec<Offered>>>,
    open: Vec<Offered>,
    remembered: usize,
    /// The first instant that is remembered.
    since: Micros,
    /// When the load was changed.
    changed: Micros,
    /// Requests per second that were planned then.
    planned_rps: f64,
    /// Tokens asked and received, of answers that completed; the past counts for less and less.
    asked: f64,
    received: f64,
    sights: SightLog,
}

impl TrafficLog {
    /// A request was due.
    pub(crate) fn offered(&mut self, planned: &Planned) {
        let request = &planned.request;
        self.open.push(Offered {
            due: planned.due,
            input_tokens: request.input_tokens,
            output_tokens: request.output_tokens,
            segments: request.segments.as_slice().into(),
        });
        if self.open.len() >= SLICE {
            self.close();
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            let slice = std::mem::take(&mut self.open);
            self.remembered += slice.len();
            self.closed.push_back(Arc::new(slice));
        }
        while self.remembered > MOST {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.closed.pop_front() else { return };
        self.remembered -= oldest.len();
        self.since = self.since.max(oldest.last().map_or(Micros::ZERO, |offered| offered.due));
    }

    /// A request is over.
    pub(crate) fn ended(&mut self, sample: &Sample) {
        self.sights.ended(sample);
        if sample.outcome.is_completed() {
            // Half of the weight lies on the last fifty or so.
            self.asked = self.asked * 0.987 + f64::from(sample.output_asked);
            self.received = self.received * 0.987 + f64::from(sample.output_tokens);
        }
    }

    /// From now on the load is another one.
    pub(crate) fn changed(&mut self, at: Micros) {
        self.changed = at;
    }

    /// So many requests per second are planned for now: one phase may follow another without anybody changing anything.
    pub(crate) fn planned(&mut self, now: Micros, rps: f64) {
        if (rps - self.planned_rps).abs() > ANOTHER * rps.max(self.planned_rps) {
            (self.planned_rps, self.changed) = (rps, now);
        }
    }

    /// The window that ends now. Closes what is open, and forgets what is too old. Of what is under way, the first to get a
    /// token got it at `oldest`.
    pub(crate) fn window(&mut self, now: Micros, oldest: Option<Micros>) -> Observed {
        self.close();
        let start = now.since(WINDOW);
        while self.closed.front().and_then(|oldest| oldest.last()).is_some_and(|last| last.due < start) {
            self.forget_oldest();
        }
        let mut from = self.since.max(start);
        if self.changed > from {
            let new = self.closed.iter().flat_map(|slice| slice.iter()).filter(|offered| offered.due >= self.changed);
            if now.since(self.changed) >= ENOUGH.1 && new.count() >= ENOUGH.0 {
                from = self.changed;
            }
        }
        let answered = if self.asked > 0.0 { (self.received / self.asked).clamp(0.0, 1.0) } else { 1.0 };
        let sights = self.sights.sights(now, oldest);
        Observed { from, to: now, slices: self.closed.iter().cloned().collect(), answered, sights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Request;

    fn planned(index: u64, due: u64) -> Planned {
        let request = Request {
            index,
            input_tokens: 10,
            output_tokens: 5,
            segments: vec![Segment(index, 10)],
            clamped: false,
            turn: None,
        };
        Planned { due: Micros(due), request }
    }

    fn log(requests: impl Iterator<Item = u64>) -> TrafficLog {
        let mut log = TrafficLog::default();
        let mut next = 1_000_000;
        for (index, due) in requests.enumerate() {
            if due >= next {
                log.window(Micros(next), None);
                next += 1_000_000;
            }
            log.offered(&planned(index as u64, due));
        }
        log
    }

    #[test]
    fn the_window_is_the_last_minute_and_shorter_at_the_start() {
        let mut log = log((0..1000).map(|i| i * 100_000));
        let early = TrafficLog::default().window(Micros(3), None);
        assert_eq!((early.from, early.requests().count()), (Micros::ZERO, 0));
        let window = log.window(Micros(100_000_000), None);
        assert_eq!((window.from, window.length()), (Micros(40_000_000), WINDOW));
        assert_eq!(window.requests().count(), 600);
        assert!((window.rate_rps() - 10.0).abs() < 0.1);
        assert!(log.remembered < 620, "{}", log.remembered);
    }

    #[test]
    fn after_a_change_the_past_is_forgotten_once_enough_is_new() {
        let mut log = log((0..300).map(|i| i * 100_000));
        log.changed(Micros(29_000_000));
        assert_eq!(log.window(Micros(30_000_000), None).from, Micros::ZERO, "too little is new");
        for index in 300..500 {
            log.offered(&planned(index, index * 100_000));
        }
        let window = log.window(Micros(50_000_000), None);
        assert_eq!((window.from, window.requests().count()), (Micros(29_000_000), 210));
    }

    #[test]
    fn too_many_requests_shorten_the_window_and_not_the_rate() {
        let mut log = log((0..30_000).map(|i| i * 1_000));
        let window = log.window(Micros(30_000_000), None);
        assert!(window.requests().count() <= MOST);
        assert!(window.from >= Micros(9_000_000), "{:?}", window.from);
        assert!((window.rate_rps() - 1000.0).abs() < 2.0, "{}", window.rate_rps());
    }

    #[test]
    fn a_second_with_more_requests_than_are_remembered_leaves_the_newest() {
        let mut log = log((0..50_000).map(|i| i * 10));
        let window = log.window(Micros(500_000), None);
        let count = window.requests().count();
        assert!(count > MOST - 2 * SLICE && count <= MOST, "{count}");
        assert!((window.rate_rps() - 100_000.0).abs() < 200.0, "{}", window.rate_rps());
    }

    #[test]
    fn another_planned_rate_is_another_load() {
        let mut log = log((0..300).map(|i| i * 100_000));
        log.planned(Micros(1), 10.0);
        for index in 300..500 {
            log.planned(Micros(index * 100_000), if index < 400 { 10.5 } else { 20.0 });
            log.offered(&planned(index, index * 100_000));
        }
        assert_eq!(log.window(Micros(50_000_000), None).from, Micros(40_000_000));
    }

    #[test]
    fn answers_that_stop_early_are_taken_into_account() {
        let mut log = TrafficLog::default();
        assert_eq!(log.window(Micros(1), None).answered.to_bits(), 1.0_f64.to_bits());
        let mut sample = crate::sample::testing::completed(0, 100, 1000, &[10; 9]);
        sample.output_asked = 20;
        log.ended(&sample);
        assert!((log.window(Micros(2), None).answered - 0.5).abs() < 1e-9);
    }
}
