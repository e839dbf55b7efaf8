//! Following one shift to its end.

use std::time::Duration;

use engine::cluster::{Notice, ShiftId, ShiftReport};
use engine::drive::wall::{EngineEvent, Observation};
use engine::remote::{RemoteEngine, RemoteWatch, Standing, StatusCode, Topology};
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
        match Standing::of(self.ticket, self.to, now) {
            Standing::Pending => Verdict::Open,
            Standing::Converged => Verdict::Over(Outcome::Converged { report }),
            Standing::Superseded { why } => Verdict::Over(Outcome::Superseded { why, report }),
        }
    }
}

/// Waits until the shift is over. `watch` was begun before the shift was asked for.
pub(super) async fn follow(engine: &RemoteEngine, watch: RemoteWatch, asked: Asked) -> Outcome {
    let mut progress = Progress::default();
    let mut watch = Some(watch);
    loop {
        let Some(seeing) = &mut watch else {
            let (begun, Topology { observed, .. }) = again(engine).await;
            watch = Some(begun);
            progress.state(&observed);
            match asked.judge_state(&observed, None) {
                Verdict::Over(outcome) => return outcome,
                Verdict::Open | Verdict::Ended(_) => continue,
            }
        };
        let verdict = tokio::select! {
            event = seeing.next() => match event {
                Some(Ok(event)) => {
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

/// Begins a watch anew. Whatever is in the way, only the time to wait ends the trying.
async fn again(engine: &RemoteEngine) -> (RemoteWatch, Topology) {
    loop {
        sleep(AGAIN).await;
        if let Ok(begun) = engine.watch().await {
            return begun;
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
    use engine::cluster::How;
    use engine::units::Nanos;

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
}
