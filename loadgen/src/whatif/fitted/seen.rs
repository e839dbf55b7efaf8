//! The requests that are over, as far as they tell of the units that served them.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::sample::{Sample, ServerSide};
use crate::time::Micros;

/// How far back requests are remembered.
const MEMORY: Micros = Micros(300_000_000);
/// Most arrivals of tokens that are remembered; of more the oldest requests are forgotten. 8 bytes each.
const MOST: usize = 400_000;
/// Requests of a slice.
const SLICE: usize = 500;

/// A prompt on its unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Prompt {
    pub(super) unit: u16,
    pub(super) start: Micros,
    pub(super) end: Micros,
}

/// One request that is over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) ended: Micros,
    pub(super) input_tokens: u32,
    pub(super) due: Micros,
    pub(super) sent: Option<Micros>,
    /// Positions of its prompt that were cached, where that is told.
    pub(super) cached: u32,
    pub(super) prompt: Option<Prompt>,
    /// Start and end of its hand-off.
    pub(super) hand_off: Option<(Micros, Micros)>,
    /// The unit that gave the last token.
    pub(super) decode_unit: Option<u16>,
    /// What it took beside the engine until the first token was there: lag, and the ways there and back.
    pub(super) outside: Option<Micros>,
    /// Whether it lost its KV on the way: what its stages contain is not known then.
    pub(super) preempted: bool,
    pub(super) queried: bool,
    pub(super) first: Option<Micros>,
    /// When each further arrival came, since the first one, and how many tokens it brought.
    pub(super) arrivals: Vec<(u32, u32)>,
}

impl Seen {
    fn of(sample: &Sample) -> Self {
        let nothing = ServerSide::default();
        let server = sample.server.as_ref().unwrap_or(&nothing);
        let prompt = || {
            let (start, end) = (server.prefill_start?, server.prefill_end?);
            Some(Prompt { unit: server.prefill_unit?, start, end }).filter(|_| start < end)
        };
        let hand_off = server.handoff_start.zip(server.handoff_end).filter(|(start, end)| start <= end);
        let outside = || {
            let given = server.handoff_end.unwrap_or(server.prefill_end?).max(server.prefill_end?);
            let first = sample.first?;
            Some(first.since(sample.due).since(given.min(first).since(server.arrived?)))
        };
        let mut since = 0_u64;
        let arrivals = sample.gaps.iter().map(|gap| {
            since = since.saturating_add(gap.gap.0);
            (u32::try_from(since).unwrap_or(u32::MAX), gap.tokens)
        });
        Self {
            ended: sample.ended,
            input_tokens: sample.input_tokens,
            due: sample.due,
            sent: sample.sent,
            cached: server.prefix_hit,
            prompt: prompt(),
            hand_off,
            decode_unit: server.decode_unit,
            outside: outside(),
            preempted: server.preemptions > 0,
            queried: server.prefix_queried > 0,
            first: sample.first,
            // Which of several tokens came when is not told where the server alone has counted them.
            arrivals: if sample.untold_tokens() == 0 { arrivals.collect() } else { Vec::new() },
        }
    }
}

/// Requests that are over, in the order of their ends. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sights {
    slices: Vec<Arc<Vec<Seen>>>,
    /// Of what happened before, requests are forgotten.
    pub(super) since: Micros,
    /// All that was under way by then and has given a token is over.
    pub(super) until: Micros,
}

impl Sights {
    /// Of requests that are over, where nothing else ever was under way.
    pub fn of_samples<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut seen: Vec<Seen> = samples.into_iter().map(Seen::of).collect();
        seen.sort_by_key(|seen| seen.ended);
        let until = seen.last().map_or(Micros::ZERO, |last| last.ended);
        Self { slices: vec![Arc::new(seen)], since: Micros::ZERO, until }
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &Seen> {
        self.slices.iter().flat_map(|slice| slice.iter())
    }
}

/// Remembers requests that are over. The observing thread's; what it hands out shares the memory.
#[derive(Debug, Default)]
pub(in crate::whatif) struct SightLog {
    closed: VecDeque<Arc<Vec<Seen>>>,
    open: Vec<Seen>,
    remembered: usize,
    since: Micros,
}

impl SightLog {
    /// A request is over.
    pub(in crate::whatif) fn ended(&mut self, sample: &Sample) {
        if sample.first.is_none() {
            return;
        }
        self.open.push(Seen::of(sample));
        if self.open.len() >= SLICE {
            self.close();
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            let slice = std::mem::take(&mut self.open);
            self.remembered += weight(&slice);
            self.closed.push_back(Arc::new(slice));
        }
        // The newest slice stays, however much there is of it: it is bounded by its requests.
        while self.remembered > MOST && self.closed.len() > 1 {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.closed.pop_front() else { return };
        self.remembered -= weight(&oldest);
        self.since = self.since.max(oldest.last().map_or(Micros::ZERO, |seen| seen.ended));
    }

    /// What is remembered at `now`, while the request under way that has had a token for the longest time got it at `oldest`.
    pub(in crate::whatif) fn sights(&mut self, now: Micros, oldest: Option<Micros>) -> Sights {
        self.close();
        let start = now.since(MEMORY);
        while self.closed.front().and_then(|slice| slice.last()).is_some_and(|last| last.ended < start) {
            self.forget_oldest();
        }
        let until = oldest.map_or(now, |oldest| oldest.min(now));
        Sights { slices: self.closed.iter().cloned().collect(), since: self.since, until }
    }
}

fn weight(slice: &[Seen]) -> usize {
    slice.iter().map(|seen| 1 + seen.arrivals.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::completed;

    #[test]
    fn what_is_remembered_is_bounded_in_time_and_number() {
        let mut log = SightLog::default();
        for second in 0..400_u64 {
            log.ended(&completed(second, second * 1_000_000, 1_000, &[10; 50]));
            let sights = log.sights(Micros((second + 1) * 1_000_000), None);
            assert!(sights.requests().count() <= 301);
        }
        let many = vec![10; 2_000];
        for index in 0..1_000 {
            log.ended(&completed(index, 500_000_000, 1_000, &many));
        }
        let sights = log.sights(Micros(500_000_001), Some(Micros(499_000_000)));
        assert!(sights.since > Micros::ZERO && sights.until == Micros(499_000_000));
        assert!(log.remembered <= MOST + 2_001 * SLICE, "{}", log.remembered);
    }
}
