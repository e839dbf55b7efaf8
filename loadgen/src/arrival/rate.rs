//! The rate over time as cumulative intensity, its exact inverse, and live changes.

use super::phases::Phase;
use crate::time::Micros;

/// From `start` on, the rate is `rate + slope · (t − start)`, until the next piece starts.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    start: Micros,
    /// Λ at `start`.
    lambda: f64,
    rate: f64,
    /// Per second.
    slope: f64,
}

impl Piece {
    fn rate_at(&self, at: Micros) -> f64 {
        (self.rate + self.slope * at.since(self.start).as_secs_f64()).max(0.0)
    }

    /// The area of the trapezium under the rate from `start` to `at`.
    fn lambda_at(&self, at: Micros) -> f64 {
        self.lambda + at.since(self.start).as_secs_f64() * (self.rate + self.rate_at(at)) / 2.0
    }

    /// The inverse of [`Self::lambda_at`]: the root of `slope/2·t² + rate·t = Λ − lambda`, written so that nothing cancels
    /// and a slope of zero needs no case of its own. `None` when the piece never gets there.
    fn time_of(&self, lambda: f64) -> Option<Micros> {
        let ahead = lambda - self.lambda;
        if ahead <= 0.0 {
            return Some(self.start);
        }
        let discriminant = self.rate * self.rate + 2.0 * self.slope * ahead;
        let divisor = self.rate + discriminant.max(0.0).sqrt();
        (divisor > 0.0).then(|| self.start + Micros::from_secs_f64(2.0 * ahead / divisor))
    }
}

/// Maps cumulative intensity Λ to time. Changes at a time `t` leave everything before `t` as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct RateCurve {
    /// In order of `start`; never empty, the first starts at zero, the last has no slope and goes on for ever.
    pieces: Vec<Piece>,
    /// While paused: what would hold without the pause, from which `resume` goes on.
    held: Option<Vec<Piece>>,
}

impl RateCurve {
    /// The same rate for ever.
    pub fn constant(rate: f64) -> Self {
        Self { pieces: vec![Piece { start: Micros::ZERO, lambda: 0.0, rate, slope: 0.0 }], held: None }
    }

    /// Phases one after another from time zero; the rate at the end of the last holds for ever.
    pub fn from_phases(phases: &[Phase]) -> Self {
        let mut pieces = Vec::with_capacity(phases.len() + 1);
        let mut start = Micros::ZERO;
        let mut lambda = 0.0;
        let mut last = 0.0;
        for phase in phases {
            let slope = (phase.to - phase.from) / phase.length.as_secs_f64();
            let piece = Piece { start, lambda, rate: phase.from, slope };
            pieces.push(piece);
            start = start + phase.length;
            lambda += phase.length.as_secs_f64() * (phase.from + phase.to) / 2.0;
            last = phase.to;
        }
        pieces.push(Piece { start, lambda, rate: last, slope: 0.0 });
        Self { pieces, held: None }
    }

    /// The rate at `at` as planned so far; zero while paused.
    pub fn rate_at(&self, at: Micros) -> f64 {
        piece_at(&self.pieces, at).rate_at(at)
    }

    /// Λ at `at`: the number of unit-rate arrivals expected before it.
    pub fn lambda_at(&self, at: Micros) -> f64 {
        piece_at(&self.pieces, at).lambda_at(at)
    }

    /// When Λ is reached; `None` when it never is, as long as nothing changes.
    ///
    /// Where the curve is flat at Λ, this is the *end* of the flat stretch: an arrival that falls on the instant a pause
    /// begins waits for its end.
    pub fn time_of(&self, lambda: f64) -> Option<Micros> {
        let after = self.pieces.partition_point(|piece| piece.lambda <= lambda);
        let piece = self.pieces.get(after.saturating_sub(1))?;
        if piece.rate <= 0.0 && piece.slope <= 0.0 {
            return None;
        }
        let time = piece.time_of(lambda)?;
        // A ramp's root may lie a rounding beyond its end, where the next piece has already begun.
        Some(self.pieces.get(after).map_or(time, |next| time.min(next.start)))
    }

    /// The rate at `at` if the load were not paused.
    pub fn planned_rate_at(&self, at: Micros) -> f64 {
        piece_at(self.held.as_ref().unwrap_or(&self.pieces), at).rate_at(at)
    }

    /// From `at` on, the rate is `rate` for ever: it overrides the phases that were to come. While paused, it is the rate
    /// with which the load goes on when resumed.
    pub fn set_rate(&mut self, at: Micros, rate: f64) {
        let plan = self.held.as_mut().unwrap_or(&mut self.pieces);
        let lambda = cut(plan, at);
        plan.push(Piece { start: at, lambda, rate, slope: 0.0 });
    }

    /// From `at` on, nothing arrives until resumed. Pausing twice is pausing once.
    pub fn pause(&mut self, at: Micros) {
        if self.held.is_some() {
            return;
        }
        self.held = Some(self.pieces.clone());
        let lambda = cut(&mut self.pieces, at);
        self.pieces.push(Piece { start: at, lambda, rate: 0.0, slope: 0.0 });
    }

    /// From `at` on, the rate is again what is planned for that time: a pause is a hole in the plan, it does not shift it.
    /// Without a pause, nothing changes.
    pub fn resume(&mut self, at: Micros) {
        let Some(plan) = self.held.take() else { return };
        let lambda = cut(&mut self.pieces, at);
        let current = piece_at(&plan, at);
        // What the plan sends before `at` is not caught up, so the rest of it counts from the Λ reached here.
        let skipped = current.lambda_at(at) - lambda;
        self.pieces.push(Piece { start: at, lambda, rate: current.rate_at(at), slope: current.slope });
        let rest = plan.iter().filter(|piece| piece.start > at);
        self.pieces.extend(rest.map(|piece| Piece { lambda: piece.lambda - skipped, ..*piece }));
    }

    /// Whether the load is paused.
    pub fn is_paused(&self) -> bool {
        self.held.is_some()
    }
}

/// The piece in force at `at`.
fn piece_at(pieces: &[Piece], at: Micros) -> Piece {
    const NOTHING: Piece = Piece { start: Micros::ZERO, lambda: 0.0, rate: 0.0, slope: 0.0 };
    let after = pieces.partition_point(|piece| piece.start <= at);
    pieces.get(after.saturating_sub(1)).copied().unwrap_or(NOTHING)
}

/// Removes what starts at `at` or later and returns Λ there.
fn cut(pieces: &mut Vec<Piece>, at: Micros) -> f64 {
    let lambda = piece_at(pieces, at).lambda_at(at);
    pieces.retain(|piece| piece.start < at);
    lambda
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(seconds: u64) -> Micros {
        Micros(seconds * 1_000_000)
    }

    fn phase(from: f64, to: f64, seconds: u64) -> Phase {
        Phase { from, to, length: secs(seconds) }
    }

    #[test]
    fn a_ramp_is_inverted_exactly() {
        // Λ(t) = 4t + t²/30 on the ramp 4..12 over 120 s: 960 in all.
        let curve = RateCurve::from_phases(&[phase(4.0, 12.0, 120)]);
        assert_eq!(curve.time_of(0.0), Some(Micros::ZERO));
        assert_eq!(curve.time_of(4.0 * 30.0 + 30.0), Some(secs(30)));
        assert_eq!(curve.time_of(960.0), Some(secs(120)));
        assert_eq!(curve.time_of(972.0), Some(secs(121)), "the last rate holds");
        let down = RateCurve::from_phases(&[phase(10.0, 0.0, 10)]);
        assert_eq!(down.time_of(50.0 - 0.5), Some(secs(9)), "triangle: half a request is left after 9 s");
        assert_eq!(down.time_of(50.0), None, "a rate of zero never gets there");
        let up = RateCurve::from_phases(&[phase(0.0, 10.0, 10)]);
        assert_eq!(up.time_of(0.0), Some(Micros::ZERO));
        assert_eq!(up.time_of(0.5), Some(secs(1)));
    }

    #[test]
    fn a_pause_is_a_hole_in_the_plan() {
        let mut curve = RateCurve::from_phases(&[phase(2.0, 2.0, 10), phase(4.0, 4.0, 10)]);
        curve.pause(secs(5));
        curve.pause(secs(6));
        assert_eq!(curve.time_of(9.0), Some(Micros(4_500_000)), "before the pause nothing moves");
        assert_eq!(curve.time_of(10.0), None);
        assert!(curve.is_paused());
        curve.resume(secs(8));
        assert_eq!(curve.time_of(10.0), Some(secs(8)), "what fell on the start of the pause comes at its end");
        assert_eq!(curve.time_of(12.0), Some(secs(9)));
        assert_eq!(curve.time_of(18.0), Some(secs(11)), "the second phase keeps its place in time");
        assert_eq!((curve.rate_at(secs(6)), curve.rate_at(secs(9)), curve.rate_at(secs(12))), (0.0, 2.0, 4.0));
    }

    #[test]
    fn a_rate_set_while_paused_holds_from_the_resumption() {
        let mut curve = RateCurve::constant(1.0);
        curve.pause(secs(10));
        curve.set_rate(secs(12), 5.0);
        assert_eq!(curve.time_of(11.0), None);
        curve.resume(secs(20));
        assert_eq!(curve.time_of(15.0), Some(secs(21)));
    }

    fn phases() -> impl Strategy<Value = Vec<Phase>> {
        let rate = prop_oneof![Just(0.0), 0.1..500.0_f64];
        prop::collection::vec((rate.clone(), rate, 1..600_u64), 1..6)
            .prop_map(|phases| phases.into_iter().map(|(from, to, s)| phase(from, to, s)).collect())
    }

    proptest! {
        #[test]
        fn time_of_is_the_inverse_of_lambda_at(phases in phases(), share in 0.0..1.0_f64) {
            let curve = RateCurve::from_phases(&phases);
            let end = phases.iter().fold(Micros::ZERO, |sum, p| sum + p.length);
            let total = curve.lambda_at(end);
            let lambda = total * share;
            prop_assume!(total > 0.0);
            let at = curve.time_of(lambda).expect("below the total");
            // Half a microsecond of rounding at the rate in force there.
            let tolerance = 1e-6 * curve.rate_at(at).max(1.0) + total * 1e-12;
            prop_assert!((curve.lambda_at(at) - lambda).abs() <= tolerance, "{} {}", curve.lambda_at(at), lambda);
        }

        #[test]
        fn a_change_moves_only_what_comes_after_it(
            phases in phases(),
            changes in prop::collection::vec((0..3_u8, 0.0..1.0_f64, 0.0..100.0_f64), 1..8),
        ) {
            let mut curve = RateCurve::from_phases(&phases);
            let end = phases.iter().fold(Micros::ZERO, |sum, p| sum + p.length);
            let mut ats: Vec<Micros> = changes.iter().map(|c| Micros((c.1 * end.0 as f64) as u64)).collect();
            ats.sort_unstable();
            let lambdas: Vec<f64> = (0..200).map(|i| f64::from(i) * curve.lambda_at(end) / 200.0).collect();
            for ((kind, _, rate), at) in changes.into_iter().zip(ats) {
                let before: Vec<_> = lambdas.iter().map(|l| curve.time_of(*l)).collect();
                match kind {
                    0 => curve.set_rate(at, rate),
                    1 => curve.pause(at),
                    _ => curve.resume(at),
                }
                let after: Vec<_> = lambdas.iter().map(|l| curve.time_of(*l)).collect();
                prop_assert!(after.windows(2).all(|w| w[0].is_none_or(|a| w[1].is_none_or(|b| a <= b))), "order");
                for (old, new) in before.into_iter().zip(after) {
                    match old {
                        Some(old) if old < at => prop_assert_eq!(new, Some(old)),
                        _ => prop_assert!(new.is_none_or(|new| new >= at)),
                    }
                }
            }
        }
    }
}
