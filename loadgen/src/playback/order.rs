//! Puts what records tell into the order in which it happened.
//!
//! A request is recorded when it is over, but it was due, was sent and brought tokens before. A second is therefore told only
//! when everything in it is known: when every request that was due in it has been read. Requests are numbered in the order
//! of being due, so that is the case once the numbers read so far have no hole below a request that was due later.

use std::collections::{BTreeMap, VecDeque};

use crate::fold::Fold;
use crate::live::Snapshot;
use crate::recording::{EndRecord, Record};
use crate::sample::Sample;
use crate::time::Micros;

const SECOND: u64 = 1_000_000;

/// Records that may wait for a request that was due earlier. With more of them, that request is told late (its note was
/// lost, or it takes for ever): it counts in the history, but not in what was remembered before.
const WAITING: usize = 65_536;

/// Seconds that may be known ahead of their records, most of which no run has; with more, what waits is told late as well.
const AHEAD: usize = 65_536;

/// Gaps between tokens, 16 bytes each, that may wait with them.
const WAITING_GAPS: usize = 4 << 20;

/// Seconds without any record after which time jumps: a run records its lag every second, so the machine slept.
const SILENCE: u64 = 60;

/// What is known of one second ahead of its records.
#[derive(Debug, Default)]
struct Ahead {
    due: Vec<Micros>,
    /// Lag, and whether a length was cut.
    sent: Vec<(Micros, bool)>,
    input_tokens: u64,
    output_tokens: u64,
}

/// The records of a run on their way into its [`Fold`].
#[derive(Debug)]
pub(super) struct Order {
    fold: Fold,
    /// Records with the instant at which they were known, in that order.
    waiting: VecDeque<(Micros, Record)>,
    waiting_gaps: usize,
    /// By second.
    ahead: BTreeMap<u64, Ahead>,
    /// Seconds before this one are told.
    next_second: u64,
    /// The latest instant at which anything was known.
    latest: Micros,
    /// Requests below this number have been read.
    next_request: u64,
    /// Requests above it that have been read, with the instant at which they were due. Once their records have to be told,
    /// what is missing below them is given up, so that hardly more are kept than records wait.
    read: BTreeMap<u64, Micros>,
    /// Everything that was due before is known.
    complete: Micros,
}

impl Order {
    pub(super) fn new(fold: Fold) -> Self {
        Self {
            fold,
            waiting: VecDeque::new(),
            waiting_gaps: 0,
            ahead: BTreeMap::new(),
            next_second: 0,
            latest: Micros::ZERO,
            next_request: 0,
            read: BTreeMap::new(),
            complete: Micros::ZERO,
        }
    }

    /// Takes the next record of the file.
    pub(super) fn push(&mut self, mut record: Record) {
        self.latest = self.latest.max(known_at(&record));
        if let Record::Req(sample) = &mut record {
            self.look_ahead(sample);
            self.waiting_gaps += sample.gaps.len();
            // No screen shows them, and they may be long.
            sample.segments = Vec::new();
        }
        self.waiting.push_back((self.latest, record));
        self.tell(second(self.complete.min(self.latest)));
        while self.is_full() {
            let oldest = self.waiting.front().map_or(0, |(at, _)| second(*at));
            self.tell(oldest.saturating_add(1));
            self.pass_holes();
        }
    }

    fn is_full(&self) -> bool {
        let much = self.waiting.len() > WAITING || self.waiting_gaps > WAITING_GAPS || self.ahead.len() > AHEAD;
        much && !self.waiting.is_empty()
    }

    /// What is still missing below requests of seconds that had to be told is waited for no longer.
    fn pass_holes(&mut self) {
        while let Some(first) = self.read.first_entry().filter(|first| second(*first.get()) < self.next_second) {
            let (index, due) = first.remove_entry();
            self.next_request = index.saturating_add(1);
            self.complete = self.complete.max(due);
        }
        self.pass_read();
    }

    /// Goes on to the first number that has not been read.
    fn pass_read(&mut self) {
        while let Some(due) = self.read.remove(&self.next_request) {
            self.next_request = self.next_request.saturating_add(1);
            self.complete = self.complete.max(due);
        }
    }

    /// Everything was read.
    pub(super) fn finish(mut self, end: Option<&EndRecord>) -> Snapshot {
        let last = end.map_or(self.latest, |end| end.at.max(self.latest));
        self.tell(second(last));
        while let Some((_, ahead)) = self.ahead.pop_first() {
            self.tell_ahead(Micros(self.next_second * SECOND), &ahead);
        }
        for (_, record) in std::mem::take(&mut self.waiting) {
            self.fold.apply(&record);
        }
        if let Some(end) = end {
            self.fold.end(end);
        }
        self.fold.advance(last);
        self.fold.snapshot(last)
    }

    /// What a request tells of the time before it was over. Nothing of it happened later, whatever the file says.
    fn look_ahead(&mut self, sample: &Sample) {
        let by_its_end = |at: Micros| at.min(sample.ended);
        self.ahead_of(by_its_end(sample.due)).due.push(sample.due);
        if let Some(sent) = sample.sent {
            self.ahead_of(by_its_end(sent)).sent.push((sent.since(sample.due), sample.clamped));
        }
        if let Some(mut at) = sample.first.map(by_its_end) {
            self.ahead_of(at).input_tokens += u64::from(sample.input_tokens);
            let mut tokens = u64::from(sample.first_tokens);
            let mut over = end_of_second(at);
            for gap in sample.itl() {
                let next = by_its_end(at + gap.gap);
                if next >= over {
                    self.ahead_of(at).output_tokens += std::mem::take(&mut tokens);
                    over = end_of_second(next);
                }
                at = next;
                tokens = tokens.saturating_add(u64::from(gap.tokens));
            }
            self.ahead_of(at).output_tokens += tokens;
        }
        // One that comes after all is late, and waited for by nobody.
        if sample.index >= self.next_request {
            self.read.insert(sample.index, by_its_end(sample.due));
        }
        self.pass_read();
    }

    /// What is known ahead of the second of an instant; of one that was told already, in the next one.
    fn ahead_of(&mut self, at: Micros) -> &mut Ahead {
        self.ahead.entry(second(at).max(self.next_second)).or_default()
    }

    /// Tells all seconds before `until`.
    fn tell(&mut self, until: u64) {
        while self.next_second < until {
            let eventful = self.next_eventful().map_or(until, |second| second.min(until));
            if eventful.saturating_sub(self.next_second) > SILENCE {
                self.next_second = eventful;
            } else {
                self.tell_second();
            }
            self.fold.advance(Micros(self.next_second.saturating_mul(SECOND)));
        }
        // What was read after its second had to be told.
        self.release();
    }

    /// The second of the next thing there is to tell.
    fn next_eventful(&self) -> Option<u64> {
        let record = self.waiting.front().map(|(at, _)| second(*at));
        record.into_iter().chain(self.ahead.keys().next().copied()).min()
    }

    fn tell_second(&mut self) {
        let start = Micros(self.next_second * SECOND);
        if let Some(ahead) = self.ahead.remove(&self.next_second) {
            self.tell_ahead(start, &ahead);
        }
        self.next_second += 1;
        self.release();
    }

    /// Applies the records of the seconds that are told.
    fn release(&mut self) {
        while let Some((_, record)) = self.waiting.pop_front_if(|(at, _)| second(*at) < self.next_second) {
            if let Record::Req(sample) = &record {
                self.waiting_gaps -= sample.gaps.len();
            }
            self.fold.apply(&record);
        }
    }

    /// Slots of the history are seconds: where in its second a token came makes no difference.
    fn tell_ahead(&mut self, start: Micros, ahead: &Ahead) {
        for due in &ahead.due {
            self.fold.offered(*due);
        }
        for (lag, clamped) in &ahead.sent {
            self.fold.sent(*lag, *clamped);
        }
        let narrow = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
        self.fold.first_token(start, narrow(ahead.input_tokens));
        self.fold.tokens(start, narrow(ahead.output_tokens));
    }
}

fn second(at: Micros) -> u64 {
    at.0 / SECOND
}

fn end_of_second(at: Micros) -> Micros {
    Micros((second(at) + 1).saturating_mul(SECOND))
}

/// When a record became known.
fn known_at(record: &Record) -> Micros {
    match record {
        Record::Req(sample) => sample.ended,
        Record::Unit(unit) => unit.at,
        Record::Server(server) => server.at,
        Record::Shift(shift) => shift.ended.as_ref().map_or(shift.at, |ended| shift.at + ended.total),
        Record::Waiting(waiting) => waiting.at,
        Record::Rate(rate) => rate.at,
        Record::Load(load) => load.at,
        Record::Slo(slo) => slo.at,
        Record::Lag(lag) => lag.at,
        Record::Note(note) => note.at,
    }
}

#[cfg(test)]
mod tests;
