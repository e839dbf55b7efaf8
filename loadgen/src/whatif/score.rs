//! Predictions held against what was then measured.
//!
//! A prediction is put to the test when the load, the SLO and the split stand still: for the split that serves, and, made
//! before a shift, for the split that it led to. What is compared is goodput at the rate that was then offered, because the
//! rate is not what was predicted.

use std::sync::Arc;

use engine::cluster::UnitState;
use engine::units::Split;

use super::{WhatIf, moves};
use crate::live::{Phase, Snapshot};
use crate::schedule::Shape;
use crate::slo::Slo;
use crate::time::Micros;

/// How long is measured.
const MEASURE: Micros = Micros(30_000_000);
/// How long is waited first, besides the time of an answer.
const SETTLE: Micros = Micros(10_000_000);
/// Tests that are remembered.
const TESTS: usize = 6;
/// Share of the offered rate below which a goodput is next to nothing, and being off by it counts for little.
const NOTHING: f64 = 0.05;
/// Steps between splits from which on a measurement says nothing of another split.
const NEAR: u16 = 2;

/// A prediction and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// When the measurement ended.
    pub at: Micros,
    /// The split before, where a shift led here.
    pub from: Option<Split>,
    /// The split.
    pub split: Split,
    /// Good requests per second that were predicted for the rate that was then offered.
    pub predicted_rps: f64,
    /// Those that were.
    pub measured_rps: f64,
    /// After a shift, what was predicted to be gained and what was.
    pub gain: Option<(f64, f64)>,
    /// How far the prediction was off, as a share of the larger.
    pub error: f64,
}

/// What a split was measured to give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The split.
    pub split: Split,
    /// Good requests per second.
    pub goodput_rps: f64,
    /// Requests offered per second.
    pub offered_rps: f64,
}

/// How good predictions have been.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// The last tests, oldest first.
    pub outcomes: Vec<Outcome>,
    /// The last measurement of each split.
    pub measured: Vec<Measured>,
}

impl Score {
    /// How far predictions were off on average, as a share; `None` before the first test.
    pub fn error(&self) -> Option<f64> {
        let count = self.outcomes.len();
        (count > 0).then(|| self.outcomes.iter().map(|outcome| outcome.error).sum::<f64>() / count as f64)
    }

    /// Whether `split` or one close to it was measured in this run.
    pub fn is_near(&self, split: Split) -> bool {
        self.measured.iter().any(|measured| moves(measured.split, split) <= NEAR)
    }
}

/// What has to stand still.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Standing {
    split: Split,
    slo: Slo,
    rate_rps: f64,
    shape: Option<Shape>,
}

impl Standing {
    /// `None` while something is changing.
    fn of(snapshot: &Snapshot) -> Option<Self> {
        let serving = snapshot.units.iter().all(|unit| matches!(unit.state, UnitState::Serving | UnitState::Failed));
        let still = snapshot.phase == Phase::Loading && snapshot.shifts.is_empty() && serving;
        still.then_some(())?;
        Some(Self { split: snapshot.split, slo: snapshot.slo?, rate_rps: snapshot.rate_rps, shape: snapshot.shape })
    }

    /// Whether the load is the same, but for what a ramp changes from one second to the next.
    fn is_loaded_like(&self, other: &Self) -> bool {
        let same = (self.slo, self.shape) == (other.slo, other.shape);
        same && (self.rate_rps - other.rate_rps).abs() <= 0.1 * self.rate_rps.max(other.rate_rps)
    }
}

/// A prediction under test.
#[derive(Debug)]
struct Test {
    prediction: Arc<WhatIf>,
    /// When measuring begins.
    since: Micros,
    /// The split before and its goodput, where a shift led here.
    from: Option<(Split, f64)>,
}

/// Keeps the score.
#[derive(Debug, Default)]
pub(super) struct Scorer {
    score: Score,
    standing: Option<Standing>,
    /// Since when the load is what it is.
    loaded_since: Micros,
    /// The last prediction that was made while everything stood still.
    prediction: Option<Arc<WhatIf>>,
    /// What the split gave before a shift began.
    before: Option<(Split, f64)>,
    test: Option<Test>,
}

impl Scorer {
    pub(super) fn score(&self) -> &Score {
        &self.score
    }

    /// Looks at the run. `latest` is the newest prediction.
    pub(super) fn observe(&mut self, snapshot: &Snapshot, latest: Option<&Arc<WhatIf>>) {
        let Some(now) = Standing::of(snapshot) else {
            self.test = None;
            return;
        };
        let same_load = self.standing.is_some_and(|standing| standing.is_loaded_like(&now));
        let shifted = self.standing.filter(|standing| same_load && standing.split != now.split);
        if !same_load {
            self.test = None;
            self.prediction = None;
            self.before = None;
            self.loaded_since = snapshot.now;
            self.standing = Some(now);
        } else if let Some(earlier) = shifted {
            self.standing = Some(now);
            let from = self.before.take().filter(|(split, _)| *split == earlier.split);
            self.test = self.prediction.take().and_then(|prediction| test(prediction, now, snapshot.now, from));
        }
        if let Some(latest) = latest.filter(|latest| self.is_of_now(latest, now)) {
            self.prediction = Some(Arc::clone(latest));
            self.before = snapshot.recent.goodput_rps.map(|goodput| (now.split, goodput));
            if self.test.is_none() {
                self.test = test(Arc::clone(latest), now, snapshot.now, None);
            }
        }
        if self.test.as_ref().is_some_and(|test| snapshot.now >= test.since + MEASURE)
            && let Some(test) = self.test.take()
        {
            self.measure(&test, now.split, snapshot);
        }
    }

    /// Whether a prediction is of the split that serves and of traffic of the load that stands.
    fn is_of_now(&self, prediction: &WhatIf, now: Standing) -> bool {
        let from = prediction.at.since(prediction.window);
        // Where the past could not be forgotten yet, it is in the traffic.
        prediction.now == now.split && prediction.slo == now.slo && from + Micros(1_500_000) >= self.loaded_since
    }

    fn measure(&mut self, test: &Test, split: Split, snapshot: &Snapshot) {
        let end = test.since + MEASURE;
        let slots = snapshot.history.iter().filter(|slot| slot.start >= test.since && slot.start + slot.length <= end);
        let (mut good, mut offered, mut seconds) = (0.0, 0.0, 0.0);
        for slot in slots {
            good += f64::from(slot.good.unwrap_or(0));
            offered += f64::from(slot.offered);
            seconds += slot.length.as_secs_f64();
        }
        let Some(predicted) = test.prediction.of(split).filter(|_| seconds > 0.0) else { return };
        let (measured_rps, offered_rps) = (good / seconds, offered / seconds);
        let predicted_rps = predicted.attainment.mid * offered_rps;
        let most = measured_rps.max(predicted_rps).max(NOTHING * offered_rps);
        let error = if most > 0.0 { (measured_rps - predicted_rps).abs() / most } else { 0.0 };
        let gain = test.from.and_then(|(from, goodput)| {
            let before = test.prediction.of(from)?.goodput_rps.mid;
            Some((predicted.goodput_rps.mid - before, measured_rps - goodput))
        });
        let from = test.from.map(|(from, _)| from);
        if self.score.outcomes.len() == TESTS {
            self.score.outcomes.remove(0);
        }
        let at = snapshot.now;
        self.score.outcomes.push(Outcome { at, from, split, predicted_rps, measured_rps, gain, error });
        self.score.measured.retain(|measured| measured.split != split);
        self.score.measured.push(Measured { split, goodput_rps: measured_rps, offered_rps });
    }
}

/// Puts a prediction to the test, once what is in flight now is over.
fn test(prediction: Arc<WhatIf>, now: Standing, at: Micros, from: Option<(Split, f64)>) -> Option<Test> {
    let predicted = prediction.of(now.split)?;
    let answer = Micros::from_secs_f64(predicted.tpot_p95_ms.unwrap_or(0.0) * prediction.answer_tokens / 1e3);
    let settle = if from.is_some() { SETTLE + answer } else { Micros::ZERO };
    Some(Test { since: at + settle, prediction, from })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::{Recent, ShiftView, Slot};
    use crate::whatif::{Grounds, Interval, Limit, SplitPrediction};

    const SECOND: u64 = 1_000_000;

    fn split(text: &str) -> Split {
        text.parse().expect("a split")
    }

    fn slo() -> Slo {
        "ttft=400ms".parse().expect("an SLO")
    }

    /// A run of `seconds` at 10 requests per second, `good` of which were good in each second.
    fn snapshot(seconds: u64, now: &str, good: u32) -> Snapshot {
        let slot = |second| Slot {
            start: Micros(second * SECOND),
            length: Micros(SECOND),
            offered: 10,
            completed: 10,
            good: Some(good),
            ..Slot::default()
        };
        Snapshot {
            now: Micros(seconds * SECOND),
            split: split(now),
            slo: Some(slo()),
            rate_rps: 10.0,
            recent: Recent { goodput_rps: Some(f64::from(good)), ..Recent::default() },
            history: Arc::new((0..seconds).map(slot).collect()),
            ..Snapshot::empty()
        }
    }

    /// At `seconds`, of traffic at 10 requests per second: what 2P2D and 1P3D would give.
    fn prediction(seconds: u64, now: &str, goodput: [f64; 2]) -> Arc<WhatIf> {
        let of = |name: &str, rps: f64| {
            let exactly = |value: f64| Interval { lo: value, mid: value, hi: value };
            SplitPrediction {
                split: split(name),
                goodput_rps: exactly(rps),
                gain_rps: exactly(0.0),
                attainment: exactly(rps / 10.0),
                ttft_p95_ms: None,
                tpot_p95_ms: Some(20.0),
                limit: Limit::None,
                moves: moves(split(now), split(name)),
                costs: Vec::new(),
            }
        };
        Arc::new(WhatIf {
            at: Micros(seconds * SECOND),
            window: Micros(seconds.min(60) * SECOND),
            requests: 600,
            rate_rps: 10.0,
            answer_tokens: 50.0,
            slo: slo(),
            now: split(now),
            splits: vec![of("2P2D", goodput[0]), of("1P3D", goodput[1])],
            mixed: Vec::new(),
            changes: Vec::new(),
            grounds: Grounds::Profile("test".to_owned()),
            draws: 9,
        })
    }

    #[test]
    fn the_split_that_serves_is_tested_half_a_minute_later() {
        let mut scorer = Scorer::default();
        scorer.observe(&snapshot(1, "2P2D", 9), None);
        let predicted = prediction(10, "2P2D", [8.0, 3.0]);
        for second in 10..40 {
            scorer.observe(&snapshot(second, "2P2D", 9), Some(&predicted));
            assert_eq!(scorer.score().error(), None, "{second}");
        }
        scorer.observe(&snapshot(40, "2P2D", 9), Some(&predicted));
        let score = scorer.score();
        assert_eq!((score.outcomes.len(), score.measured.len()), (1, 1));
        assert!((score.error().expect("a test") - 1.0 / 9.0).abs() < 1e-9, "{score:?}");
        assert!(score.is_near(split("3P1D")) && !score.is_near(split("4A")));
        assert_eq!(score.outcomes[0].gain, None);
    }

    #[test]
    fn a_shift_tests_what_was_predicted_before_it() {
        let mut scorer = Scorer::default();
        scorer.observe(&snapshot(1, "1P3D", 3), None);
        let before = prediction(20, "1P3D", [8.0, 3.0]);
        scorer.observe(&snapshot(20, "1P3D", 3), Some(&before));
        let shift = ShiftView { to: split("2P2D"), how: engine::cluster::How::Drain, since: Some(Micros(21 * SECOND)) };
        scorer.observe(&Snapshot { shifts: vec![shift], ..snapshot(22, "1P3D", 3) }, Some(&before));
        // A prediction that knows the new split comes too late to be the one under test.
        let after = prediction(26, "2P2D", [10.0, 3.0]);
        for second in 25..=66 {
            scorer.observe(&snapshot(second, "2P2D", 8), Some(&after));
        }
        let [outcome] = &scorer.score().outcomes[..] else { panic!("{:?}", scorer.score()) };
        assert_eq!((outcome.from, outcome.split), (Some(split("1P3D")), split("2P2D")));
        assert_eq!(outcome.gain, Some((5.0, 5.0)));
        assert!(outcome.error.abs() < 1e-9, "{outcome:?}");
    }

    #[test]
    fn what_changes_meanwhile_is_not_held_against_a_prediction() {
        let mut scorer = Scorer::default();
        let predicted = prediction(10, "2P2D", [8.0, 3.0]);
        scorer.observe(&snapshot(1, "2P2D", 9), None);
        for second in 10..120 {
            let rate_rps = if second % 20 < 10 { 10.0 } else { 20.0 };
            scorer.observe(&Snapshot { rate_rps, ..snapshot(second, "2P2D", 9) }, Some(&predicted));
        }
        assert_eq!(scorer.score().outcomes, []);
    }

    #[test]
    fn only_the_last_tests_are_remembered() {
        let mut scorer = Scorer::default();
        for second in 1..400 {
            let predicted = prediction(second, "2P2D", [8.0, 3.0]);
            scorer.observe(&snapshot(second, "2P2D", 8), Some(&predicted));
        }
        assert_eq!((scorer.score().outcomes.len(), scorer.score().measured.len()), (TESTS, 1));
        assert!(scorer.score().error().is_some_and(|error| error < 1e-9));
    }
}
