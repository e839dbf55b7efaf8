//! Lengths of synthetic requests, truncated to what the target can serve.

use rand_chacha::ChaCha12Rng;

use super::{Lengths, LengthsError, Limits};

/// Pairs drawn to learn how many of them can be served.
const TRIALS: u32 = 4_096;
/// Of which so many must: one in a hundred. Below that the truncated distribution has little to do with the one asked for.
const NEEDED: u32 = TRIALS.div_ceil(100);

/// Draws pairs of lengths.
///
/// A pair comes from its distributions *given that the target can serve it*: a pair that does not fit is drawn again as a
/// whole, so neither side gives way to the other. Fixed lengths stay as they are, whatever stands beside them; where they
/// leave no room, they are refused, or cut with `clamp`: the answer to the limit less one token, the prompt to what the
/// answer leaves.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    isl: Lengths,
    osl: Lengths,
    limits: Limits,
    clamp: bool,
    /// Turns of a session.
    turns: u32,
    stream: ChaCha12Rng,
}

/// The lengths of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) input: u32,
    pub(crate) output: u32,
    /// Whether a fixed length was cut.
    pub(crate) clamped: bool,
}

impl Draw {
    pub(crate) fn new(
        isl: Lengths,
        osl: Lengths,
        limits: Limits,
        clamp: bool,
        stream: ChaCha12Rng,
    ) -> Result<Self, LengthsError> {
        let limit = limits.total_tokens();
        if limit < 2 {
            return Err(LengthsError::NoRoom(limit));
        }
        let draw = Self { isl, osl, limits, clamp, turns: 1, stream };
        // On a copy, so that what is served does not depend on the check.
        let mut trial = draw.clone();
        let fit = (0..TRIALS).filter(|_| trial.attempt().is_some()).count() as u32;
        match (isl, osl) {
            _ if fit >= NEEDED => Ok(draw),
            (Lengths::Fixed(tokens), _) if tokens >= limit => Err(LengthsError::TooLong { side: "isl", tokens, limit }),
            (_, Lengths::Fixed(tokens)) if tokens >= limit => Err(LengthsError::TooLong { side: "osl", tokens, limit }),
            (Lengths::Fixed(isl), Lengths::Fixed(osl)) => Err(LengthsError::Fixed { isl, osl, limit }),
            _ => Err(LengthsError::Random { isl, osl, fit, of: TRIALS, need: NEEDED, limit }),
        }
    }

    /// Draws from other distributions from now on, out of the same stream. Takes a fraction of a millisecond.
    pub(crate) fn change(&mut self, isl: Lengths, osl: Lengths) -> Result<(), LengthsError> {
        if (isl, osl) != (self.isl, self.osl) {
            let changed = Self::new(isl, osl, self.limits, self.clamp, self.stream.clone())?;
            *self = changed.in_sessions(self.turns)?;
        }
        Ok(())
    }

    /// Draws sessions of so many turns from now on. All that is said in one is in the prompt of its last turn, so that is what has to
    /// be served; nothing of a session is cut.
    pub(crate) fn in_sessions(mut self, turns: u32) -> Result<Self, LengthsError> {
        if turns == self.turns {
            return Ok(self);
        }
        self.turns = turns;
        let limit = self.limits.total_tokens();
        let mut trial = self.clone();
        let fit = (0..TRIALS).filter(|_| trial.attempt_session().is_some()).count() as u32;
        let (isl, osl) = (self.isl, self.osl);
        match (isl, osl) {
            _ if fit >= NEEDED => Ok(self),
            (Lengths::Fixed(isl), Lengths::Fixed(osl)) => {
                let tokens = (u64::from(isl) + u64::from(osl)) * u64::from(turns);
                Err(LengthsError::Session { turns, isl, osl, tokens, limit })
            }
            _ => Err(LengthsError::Sessions { turns, isl, osl, fit, of: TRIALS, need: NEEDED, limit }),
        }
    }

    /// The lengths of all turns of the next session. Ends: at least one attempt in a hundred or so succeeds.
    pub(crate) fn session(&mut self) -> Vec<Pair> {
        loop {
            if let Some(pairs) = self.attempt_session() {
                return pairs;
            }
        }
    }

    fn attempt_session(&mut self) -> Option<Vec<Pair>> {
        let pairs: Vec<Pair> = (0..self.turns).map(|_| self.pair()).collect();
        let sum = |of: fn(&Pair) -> u32| pairs.iter().fold(0_u32, |sum, pair| sum.saturating_add(of(pair)));
        let fits = self.limits.fit(sum(|pair| pair.input), sum(|pair| pair.output));
        (fits && pairs.iter().all(|pair| !pair.clamped)).then_some(pairs)
    }

    /// The lengths of the next request. Ends: at least one attempt in a hundred or so succeeds.
    pub(crate) fn pair(&mut self) -> Pair {
        loop {
            if let Some(pair) = self.attempt() {
                return pair;
            }
        }
    }

    fn attempt(&mut self) -> Option<Pair> {
        let input = self.isl.draw(&mut self.stream);
        let output = self.osl.draw(&mut self.stream);
        if input == 0 || output == 0 {
            return None;
        }
        if self.limits.fit(input, output) {
            return Some(Pair { input, output, clamped: false });
        }
        if !self.clamp {
            return None;
        }
        // Only what is fixed may be cut; a random length is drawn again instead.
        let (cut_input, cut_output) = self.limits.cut(input, output);
        let allowed = (cut_input == input || self.isl.is_fixed()) && (cut_output == output || self.osl.is_fixed());
        allowed.then_some(Pair { input: cut_input, output: cut_output, clamped: true })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    const LIMITS: Limits = Limits { context_tokens: 4_096, kv_tokens: 32_768 };

    fn draw(isl: &str, osl: &str, clamp: bool) -> Result<Draw, LengthsError> {
        let stream = ChaCha12Rng::seed_from_u64(7);
        Draw::new(isl.parse().expect("isl"), osl.parse().expect("osl"), LIMITS, clamp, stream)
    }

    #[test]
    fn fixed_lengths_are_kept_refused_or_cut() {
        let pair = |isl, osl, clamp| draw(isl, osl, clamp).map(|mut d| d.pair());
        assert_eq!(pair("4000", "96", false), Ok(Pair { input: 4_000, output: 96, clamped: false }));
        assert_eq!(
            pair("4000", "97", false).map_err(|e| e.to_string()),
            Err("isl 4000 and osl 97 together are beyond the 4096 tokens a request may have; shorten them or cut them with --clamp".into())
        );
        assert_eq!(pair("4000", "97", true), Ok(Pair { input: 3_999, output: 97, clamped: true }));
        assert_eq!(pair("10", "9000", true), Ok(Pair { input: 1, output: 4_095, clamped: true }));
        assert_eq!(pair("10", "4096", false), Err(LengthsError::TooLong { side: "osl", tokens: 4_096, limit: 4_096 }));
        assert_eq!(
            pair("999999", "uniform:1..9", false).map_err(|e| e.to_string()),
            Err("isl 999999 is beyond the 4096 tokens a request may have, prompt and answer together; shorten it or cut it with --clamp".into())
        );
    }

    #[test]
    fn a_random_length_gives_way_to_a_fixed_one() {
        let mut draw = draw("4000", "uniform:1..200", false).expect("half of the answers fit");
        for _ in 0..500 {
            let pair = draw.pair();
            assert_eq!((pair.input, pair.clamped), (4_000, false));
            assert!((1..=96).contains(&pair.output));
        }
    }

    #[test]
    fn distributions_that_hardly_fit_are_refused_with_the_figures() {
        let error = draw("uniform:5000..6000", "10", false).expect_err("never fits").to_string();
        assert_eq!(
            error,
            "isl uniform:5000..6000 with osl 10: 0 of 4096 drawn pairs are within the 4096 tokens a request may have, at least 41 must be"
        );
        assert!(draw("uniform:5000..6000", "10", true).is_err(), "random lengths are never cut");
        assert!(draw("normal:4500,300", "10", false).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn every_pair_can_be_served(
            isl in prop_oneof!["[1-9][0-9]{0,3}", Just("uniform:1..9000".into()), Just("lognormal:1500,1.2".into())],
            osl in prop_oneof!["[1-9][0-9]{0,3}", Just("normal:300,400".into()), Just("lognormal:200,2".into())],
            clamp: bool,
        ) {
            if let Ok(mut draw) = draw(&isl, &osl, clamp) {
                for _ in 0..200 {
                    let pair = draw.pair();
                    prop_assert!(pair.input >= 1 && pair.output >= 1 && LIMITS.fit(pair.input, pair.output));
                    prop_assert!(clamp || !pair.clamped);
                }
            }
        }
    }

    /// What truncation by redrawing means: the moments of a distribution that fits are those asked for.
    #[test]
    fn drawn_lengths_have_the_moments_asked_for() {
        const N: usize = 20_000;
        let moments = |isl: &str| {
            let mut draw = draw(isl, "1", false).expect("fits");
            let values: Vec<f64> = (0..N).map(|_| f64::from(draw.pair().input)).collect();
            let mean = values.iter().sum::<f64>() / N as f64;
            let deviation = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / N as f64).sqrt();
            let mut sorted = values;
            sorted.sort_unstable_by(f64::total_cmp);
            (mean, deviation, sorted[N / 2])
        };
        let (mean, deviation, _) = moments("normal:1000,100");
        assert!((mean - 1_000.0).abs() < 5.0 && (deviation - 100.0).abs() < 4.0, "{mean} {deviation}");
        let (mean, deviation, _) = moments("uniform:1..999");
        assert!((mean - 500.0).abs() < 12.0 && (deviation - 288.4).abs() < 8.0, "{mean} {deviation}");
        let (_, _, median) = moments("lognormal:300,0.5");
        assert!((median - 300.0).abs() < 12.0, "{median}");
    }
}
