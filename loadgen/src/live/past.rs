//! The run as it was: the history remembers what it looked like at the end of each slot.

use std::sync::Arc;

use super::{Recent, Slot, Snapshot, TtftStages};
use crate::time::Micros;

impl Snapshot {
    /// The run at the end of the slot that contains `at`, with the history and the events of this snapshot, so that charts
    /// stay whole. Where a slot remembers nothing, the nearest one before it does; where none does, there are only the
    /// slot's own latencies. Behind the last slot it is this snapshot.
    #[must_use]
    pub fn at(&self, at: Micros) -> Self {
        let Some(index) = slot_at(&self.history, at) else { return self.clone() };
        let past = self.history.get(..=index).unwrap_or(&[]);
        let then = past.iter().rev().find_map(|slot| slot.then.as_deref());
        let mut here = then.cloned().unwrap_or_else(|| self.with_latencies_of(past.last()));
        here.now = past.last().map_or(at, |slot| slot.start + slot.length);
        here.history = Arc::clone(&self.history);
        here.events = Arc::clone(&self.events);
        here
    }

    fn with_latencies_of(&self, slot: Option<&Slot>) -> Self {
        let recent = slot.map_or_else(Recent::default, |slot| Recent {
            window: slot.length,
            ttft: slot.ttft,
            tpot: slot.tpot,
            stages: TtftStages::of(&slot.stages),
            ..Recent::default()
        });
        // What the run is, it was then; how it went is not known.
        Self {
            workload: Arc::clone(&self.workload),
            target: Arc::clone(&self.target),
            seed: self.seed,
            duration: self.duration,
            requests: self.requests,
            recent,
            ..Self::empty()
        }
    }
}

/// The place of the slot that contains `at`, of the first one when `at` lies before it; `None` behind the last.
fn slot_at(history: &[Slot], at: Micros) -> Option<usize> {
    let index = history.partition_point(|slot| slot.start <= at).saturating_sub(1);
    let slot = history.get(index)?;
    (at < slot.start + slot.length).then_some(index)
}

#[cfg(test)]
mod tests {
    use engine::units::Split;

    use super::*;
    use crate::live::{Counts, Health, Phase};
    use crate::measure::Aggregator;
    use crate::sample::testing::completed;

    const SECOND: u64 = 1_000_000;

    fn snapshot(aggregator: &mut Aggregator, now: Micros) -> Snapshot {
        Snapshot {
            now,
            phase: Phase::Loading,
            counts: aggregator.counts(),
            recent: aggregator.recent(Micros(10 * SECOND)),
            history: aggregator.history(),
            ..Snapshot::empty()
        }
    }

    /// A request a second, remembered every second.
    fn run_of(seconds: u64) -> Snapshot {
        let mut aggregator = Aggregator::new(None);
        for second in 0..seconds {
            aggregator.offered(Micros(second * SECOND));
            aggregator.sample(&completed(second, second * SECOND, 1_000 * (second + 1), &[]));
            let now = Micros((second + 1) * SECOND);
            if aggregator.advance(now) {
                let then = snapshot(&mut aggregator, now);
                aggregator.remember(then);
            }
        }
        snapshot(&mut aggregator, Micros(seconds * SECOND))
    }

    #[test]
    fn the_past_is_what_was_seen_then_under_the_history_of_now() {
        let now = run_of(30);
        let then = now.at(Micros(4 * SECOND + 7));
        assert_eq!((then.now, then.counts.completed), (Micros(5 * SECOND), 5));
        assert_eq!(then.recent.ttft.p99.map(|p99| p99.0 / 1_000), Some(5));
        assert_eq!(then.history.len(), 30);
        assert_eq!(now.at(Micros(30 * SECOND)), now, "behind the last slot it is now");
    }

    #[test]
    fn of_merged_slots_the_last_memory_is_kept() {
        let now = run_of(4_000);
        let first = &now.history[0];
        assert!(first.length > Micros(SECOND));
        let then = now.at(Micros::ZERO);
        assert_eq!(then.now, first.length);
        assert_eq!(then.counts.completed, first.length.0 / SECOND);
    }

    #[test]
    fn without_a_memory_there_are_the_figures_of_the_slot_and_no_others() {
        let mut aggregator = Aggregator::new(None);
        aggregator.sample(&completed(0, 0, 1_000, &[]));
        aggregator.advance(Micros(3 * SECOND));
        let now = Snapshot {
            phase: Phase::Done,
            workload: "chat".into(),
            seed: 7,
            rate_rps: 4.0,
            counts: Counts { completed: 9, ..Counts::default() },
            split: Split { prefill: 1, decode: 1, aggregated: 0 },
            slo: "ttft=1s".parse().ok(),
            health: Health { dropped: 3, verdict: Some("late".to_owned()), ..Health::default() },
            ..snapshot(&mut aggregator, Micros(3 * SECOND))
        };
        let then = now.at(Micros(1));
        assert!(then.recent.ttft.p50.is_some_and(|p50| p50.0.abs_diff(1_000) < 10));
        let slot = &now.history[0];
        let stages = TtftStages::of(&slot.stages);
        let recent = Recent { window: slot.length, ttft: slot.ttft, tpot: slot.tpot, stages, ..Recent::default() };
        let known = Snapshot { now: Micros(SECOND), workload: "chat".into(), seed: 7, recent, ..Snapshot::empty() };
        assert_eq!(Snapshot { history: Arc::default(), ..then }, known);
    }
}
