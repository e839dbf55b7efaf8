//! Following one shift to its end.

use std::time::Duration;

use engine::cluster::{Notice, ShiftId, ShiftReport, UnitState};
use engine::drive::wall::{EngineEvent, Observation};
use engine::remote::{RemoteEngine, RemoteWatch, StatusCode, Topology, WatchEvent};
use engine::units::Split;
use tokio::time::sleep;

use super::outcome::Outcome;
use super::progress::Progress;
use crate::command::tell;

/// How often draining units are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long to wait before a lost connection is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The shift that is followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) ticket: ShiftId,
    pub(super) to: Split,
}

/// What an event says of the shift.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing that ends it.
    Open,
    /// It has ended in its split; a topology has to confirm that.
    Ended(ShiftReport),
    /// It is over, one way or another.
    Over(Outcome),
}

/// Whether every unit that is left serves, and the split is `to`.
pub(super) fn is_serving(now: &Observation, to: Split) -> bool {
    let settled = |state| matches!(state, UnitState::Serving | UnitState::Failed);
    now.split == to && now.units.iter().all(|unit| settled(unit.figures.state))
}

impl Asked {
    /// What an event says.
    pub(super) fn judge(self, event: &EngineEvent) -> Verdict {
        match event {
            EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. } if report.id == self.ticket => {
                match &report.abandoned {
                    None => Verdict::Ended(report.clone()),
                    Some(why) => Verdict::Over(Outcome::Abandoned { why: why.clone(), report: report.clone() }),
                }
            }
            EngineEvent::ShiftDropped { id, why, .. } if *id == self.ticket => {
                Verdict::Over(Outcome::Dropped { why: why.clone() })
            }
            _ => Verdict::Open,
        }
    }

    /// What a state says in which the shift should be over, or which was looked at because its end may have been missed.
    pub(super) fn judge_state(self, now: &Observation, report: Option<ShiftReport>) -> Verdict {
        let pending = now.shift.iter().chain(&now.waiting_shifts);
        if pending.clone().any(|shift| shift.id == self.ticket) {
            return Verdict::Open;
        }
        if is_serving(now, self.to) {
            return Verdict::Over(Outcome::Converged { report });
        }
        let why = match pending.clone().next() {
            Some(other) => format!("another shift to {} is under way", other.to),
            None => format!("the split is {} now", now.split),
        };
        Verdict::Over(Outcome::Superseded { why, report })
    }
}

/// Waits until the shift is over. `watch` has given its first state before the shift was asked for.
pub(super) async fn follow(engine: &RemoteEngine, watch: RemoteWatch, asked: Asked) -> Outcome {
    let mut progress = Progress::default();
    let mut watch = Some(watch);
    loop {
        let Some(seeing) = &mut watch else {
            // Whatever the reason, only the time to wait ends the trying.
            sleep(AGAIN).await;
            watch = engine.watch().await.ok();
            continue;
        };
        let verdict = tokio::select! {
            event = seeing.next() => match event {
                Some(Ok(WatchEvent::State(Topology { observed, .. }))) => {
                    progress.state(&observed);
                    asked.judge_state(&observed, None)
                }
                Some(Ok(WatchEvent::Event(event))) => {
                    progress.event(&event);
                    asked.judge(&event)
                }
                Some(Err(error)) if error.code() == Some(StatusCode::Unavailable) => {
                    Verdict::Over(Outcome::Lost { why: error.to_string() })
                }
                error => {
                    let why = error.and_then(Result::err).map_or_else(String::new, |error| format!(": {error}"));
                    tell(&format!("lost sight of the units{why}; looking again"));
                    watch = None;
                    Verdict::Open
                }
            },
            () = sleep(LOOK), if progress.is_draining() => {
                // How many sequences are left is no event of its own.
                if let Ok(Topology { observed, .. }) = engine.topology().await {
                    progress.state(&observed);
                }
                Verdict::Open
            }
        };
        match verdict {
            Verdict::Open => {}
            Verdict::Over(outcome) => return outcome,
            Verdict::Ended(report) => return confirmed(engine, asked, report).await,
        }
    }
}

/// What the engine itself says once the shift has ended.
async fn confirmed(engine: &RemoteEngine, asked: Asked, report: ShiftReport) -> Outcome {
    loop {
        match engine.topology().await {
            Ok(Topology { observed, .. }) => match asked.judge_state(&observed, Some(report.clone())) {
                Verdict::Over(outcome) => return outcome,
                Verdict::Open | Verdict::Ended(_) => {}
            },
            Err(error) if error.code() == Some(StatusCode::Unavailable) => {
                return Outcome::Lost { why: error.to_string() };
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use engine::cluster::{How, UnitFigures};
    use engine::drive::wall::{PendingShift, UnitObservation};
    use engine::units::{Nanos, Role, UnitId};

    use super::*;

    const TO: Split = Split { prefill: 1, decode: 1, aggregated: 0 };
    const ASKED: Asked = Asked { ticket: ShiftId(7), to: TO };

    fn report(id: u64, abandoned: Option<&str>) -> ShiftReport {
        let from = Split { prefill: 0, decode: 0, aggregated: 2 };
        let (accepted, drain, total) = (Nanos(1), Nanos(2), Nanos(3));
        let abandoned = abandoned.map(str::to_owned);
        ShiftReport { id: ShiftId(id), from, to: TO, how: How::Drain, accepted, drain, total, in_flight: 0, abandoned }
    }

    fn ended(report: ShiftReport) -> EngineEvent {
        EngineEvent::Notice { at: Nanos(9), notice: Notice::ShiftEnded(report) }
    }

    fn state(units: &[(Role, UnitState)], pending: &[u64]) -> Observation {
        let unit = |(index, &(role, state)): (usize, &(Role, UnitState))| UnitObservation {
            unit: UnitId(index as u16),
            figures: UnitFigures {
                role,
                state,
                since: Nanos::ZERO,
                queue: 0,
                running: 0,
                handing_off: 0,
                incoming: 0,
                blocks: 1,
                held: 0,
                cached: 0,
            },
            busy: Nanos::ZERO,
            input_tokens: 0,
            output_tokens: 0,
            imports: 0,
            imported_blocks: 0,
            import_time: Nanos::ZERO,
        };
        let mut pending = pending.iter().map(|&id| PendingShift { id: ShiftId(id), to: TO, how: How::Drain });
        Observation {
            at: Nanos(1),
            split: Split::of(units.iter().filter(|(_, state)| *state != UnitState::Failed).map(|(role, _)| *role)),
            units: units.iter().enumerate().map(unit).collect(),
            in_flight: 0,
            shift: pending.next(),
            waiting_shifts: pending.collect(),
            generation: 1,
            block_tokens: 16,
            prefix_queried: 0,
            prefix_hit: 0,
            stalled: 0,
        }
    }

    #[test]
    fn only_its_own_end_ends_it() {
        assert_eq!(ASKED.judge(&ended(report(6, None))), Verdict::Open);
        assert_eq!(ASKED.judge(&ended(report(7, None))), Verdict::Ended(report(7, None)));
        let why = "unit 1 failed".to_owned();
        let abandoned = Verdict::Over(Outcome::Abandoned { why: why.clone(), report: report(7, Some(&why)) });
        assert_eq!(ASKED.judge(&ended(report(7, Some(&why)))), abandoned);
        for (id, verdict) in [(6, Verdict::Open), (7, Verdict::Over(Outcome::Dropped { why: why.clone() }))] {
            let (at, how) = (Nanos(3), How::Drain);
            assert_eq!(
                ASKED.judge(&EngineEvent::ShiftDropped { at, id: ShiftId(id), to: TO, how, why: why.clone() }),
                verdict
            );
        }
    }

    #[test]
    fn only_a_state_in_which_all_units_serve_the_split_is_success() {
        use Role::{Decode, Prefill};
        use UnitState::{Failed, Serving, Warming};
        let converged = Verdict::Over(Outcome::Converged { report: None });
        assert_eq!(ASKED.judge_state(&state(&[(Prefill, Serving), (Decode, Serving)], &[]), None), converged);
        // One that is lost has no role any more.
        let lost = [(Prefill, Serving), (Decode, Serving), (Decode, Failed)];
        assert_eq!(ASKED.judge_state(&state(&lost, &[]), None), converged);
        // While it waits or is under way, nothing is over, whatever the split is.
        let there = [(Prefill, Serving), (Decode, Serving)];
        assert_eq!(ASKED.judge_state(&state(&there, &[7]), None), Verdict::Open);
        assert_eq!(ASKED.judge_state(&state(&there, &[3, 7]), None), Verdict::Open);
        for (units, pending, told) in [
            ([(Prefill, Serving), (Decode, Warming)], &[8][..], "another shift to 1P1D is under way"),
            ([(Prefill, Serving), (Prefill, Serving)], &[], "the split is 2P0D now"),
        ] {
            let Verdict::Over(Outcome::Superseded { why, .. }) = ASKED.judge_state(&state(&units, pending), None)
            else {
                panic!("{units:?}")
            };
            assert_eq!(why, told);
        }
    }
}
