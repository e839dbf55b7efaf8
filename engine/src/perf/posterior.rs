//! What is believed of several constants together once something was measured.
//!
//! Constants that make up for each other are known far better together than each by itself: a decode step tells what memory
//! bandwidth and a floor come to, not which of the two it was. The covariance is that of logarithms, near the values.

use super::constants::{Constant, Constants, Effect, Phase};
use super::error::PerfError;
use super::linear::Cholesky;

/// A constant that a fit may move: for steps with prompts alone where it differs there and `phase` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free {
    /// The constant.
    pub constant: Constant,
    /// The steps it is for.
    pub phase: Phase,
}

impl Free {
    /// How a profile names it: table and key.
    pub fn name(self) -> String {
        let table = if self.phase == Phase::Prompt { "prompt" } else { "all" };
        format!("{table}.{}", self.constant.key())
    }

    /// What is called `name`, if anything is.
    pub fn named(name: &str) -> Option<Self> {
        let (table, key) = name.split_once('.')?;
        let phase = match table {
            "all" => Phase::Decode,
            "prompt" => Phase::Prompt,
            _ => return None,
        };
        let constant = Constant::ALL.into_iter().find(|constant| constant.key() == key)?;
        Some(Self { constant, phase })
    }
}

/// The joint belief: what the logarithms of the constants are off by, normally distributed, as far as it is little.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    free: Vec<Free>,
    covariance: Vec<Vec<f64>>,
    factor: Cholesky,
    step_log_spread: f64,
}

/// What one draw is off by.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The constants, those of the belief moved.
    pub constants: Constants,
    /// By how much steps without prompts, and those with, take longer than the formula says.
    pub step_factors: [f64; 2],
}

impl Posterior {
    /// A belief about `free` with the covariance of their logarithms, in that order. `step_log_spread` is what the formula
    /// itself is off by: the standard deviation of the logarithm of measured over predicted times.
    ///
    /// # Errors
    /// When the matrix is not symmetric and positive definite, has another size, or a constant is named twice.
    pub fn new(free: Vec<Free>, covariance: Vec<Vec<f64>>, step_log_spread: f64) -> Result<Self, PerfError> {
        let wrong = |why: String| PerfError::Unsupported { key: "posterior.covariance", why };
        let size = free.len();
        for (index, one) in free.iter().enumerate() {
            if free[..index].contains(one) {
                let why = format!("names `{}` twice", one.name());
                return Err(PerfError::Unsupported { key: "posterior.constants", why });
            }
        }
        if covariance.len() != size || covariance.iter().any(|row| row.len() != size) {
            let widths: Vec<String> = covariance.iter().map(|row| row.len().to_string()).collect();
            let rows = covariance.len();
            let why = format!("has {rows} rows of {} numbers, but `constants` names {size}", widths.join(", "));
            return Err(wrong(why));
        }
        for (index, row) in covariance.iter().enumerate() {
            for (other, (a, b)) in row.iter().zip(covariance.iter().map(|row| row[index])).enumerate() {
                if !a.is_finite() || (a - b).abs() > 1e-9 * a.abs().max(b.abs()) {
                    return Err(wrong(format!(
                        "is not symmetric: row {index} has {a} for {other}, row {other} has {b}"
                    )));
                }
            }
        }
        PerfError::range("posterior.step_log_spread", step_log_spread, 0.0, 1.0)?;
        let factor = Cholesky::of(&covariance).ok_or_else(|| wrong("is not positive definite".to_owned()))?;
        Ok(Self { free, covariance, factor, step_log_spread })
    }

    /// A belief in which no constant tells anything of another, from the standard deviations of their logarithms.
    pub(super) fn independent(free: Vec<Free>, log_spreads: &[f64], step_log_spread: f64) -> Self {
        let of = |row: usize, power: i32| {
            let entry = |column| if column == row { log_spreads[row].powi(power) } else { 0.0 };
            (0..log_spreads.len()).map(entry).collect::<Vec<f64>>()
        };
        let matrix = |power| (0..log_spreads.len()).map(|row| of(row, power)).collect::<Vec<_>>();
        Self { free, covariance: matrix(2), factor: Cholesky::from_lower(matrix(1)), step_log_spread }
    }

    /// The constants that it is about.
    pub fn free(&self) -> &[Free] {
        &self.free
    }

    /// The covariance of their natural logarithms.
    pub fn covariance(&self) -> &[Vec<f64>] {
        &self.covariance
    }

    /// Standard deviation of the logarithm of what the formula is off by.
    pub fn step_log_spread(&self) -> f64 {
        self.step_log_spread
    }

    /// Whether it is about a constant in steps of a phase.
    pub fn holds(&self, constant: Constant, phase: Phase) -> bool {
        self.free.contains(&Free { constant, phase })
    }

    /// Refuses names that `constants` has no value of its own for.
    ///
    /// # Errors
    /// The first such name.
    pub fn check(&self, constants: &Constants) -> Result<(), PerfError> {
        for free in &self.free {
            let missing = free.phase == Phase::Prompt && !constants.differs(free.constant);
            let value = constants.prior(free.constant, free.phase).map_or(0.0, |prior| prior.value);
            if missing || value <= 0.0 {
                let why = if missing { "the profile does not have" } else { "is 0 and has no logarithm" };
                let why = format!("names `{}`, which {why}", free.name());
                return Err(PerfError::Unsupported { key: "posterior.constants", why });
            }
        }
        Ok(())
    }

    /// `constants` moved by a draw, made of as many independent standard normal numbers as `normal` is asked for.
    pub fn draw(&self, constants: Constants, mut normal: impl FnMut() -> f64) -> Drawn {
        let independent: Vec<f64> = self.free.iter().map(|_| normal()).collect();
        let constants = self.free.iter().zip(self.factor.times(&independent)).fold(constants, |all, (free, log)| {
            let value = all.prior(free.constant, free.phase).map_or(0.0, |prior| prior.value);
            let (low, high) = free.constant.range();
            let factor = match free.constant.effect() {
                Effect::Time => line(log),
                Effect::Rate => 1.0 / line(-log),
                Effect::Shape => log.exp(),
            };
            all.with(free.constant, free.phase, (value * factor).clamp(low, high))
        });
        let step_factors = [normal(), normal()].map(|normal| (self.step_log_spread * normal).exp());
        Drawn { constants, step_factors }
    }
}

/// One and `x` more, bent where it would come near nothing, so that it stays above that.
///
/// What was measured are sums of times. A draw that moves the times of which they are made along straight lines leaves the sums
/// where they were measured, however uncertain each part is; along exponentials they would come out too long.
fn line(x: f64) -> f64 {
    const BEND: f64 = 0.4;
    if x >= BEND - 1.0 { 1.0 + x } else { BEND * ((x + 1.0 - BEND) / BEND).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> Vec<Free> {
        ["all.gemm_mbu", "prompt.layer_floor_us"].map(|name| Free::named(name).expect(name)).to_vec()
    }

    #[test]
    fn names_are_those_of_profiles() {
        for constant in Constant::ALL {
            for phase in [Phase::Decode, Phase::Prompt] {
                let free = Free { constant, phase };
                assert_eq!(Free::named(&free.name()), Some(free));
            }
        }
        assert_eq!(
            (Free::named("gemm_mbu"), Free::named("other.gemm_mbu"), Free::named("all.gemm")),
            (None, None, None)
        );
    }

    #[test]
    fn draws_stay_above_nothing_and_sums_of_times_stay_as_they_were_measured() {
        assert!([-9.0, -1.0, -0.6, 0.0, 3.0].map(line).is_sorted() && line(-9.0) > 0.0);
        assert!((line(0.3) - 1.3).abs() < 1e-12 && (line(-0.6 - 1e-9) - 0.4).abs() < 1e-8);
    }

    #[test]
    fn what_is_no_covariance_is_refused_with_the_numbers() {
        let refused = |covariance: &[&[f64]]| {
            let covariance = covariance.iter().map(|row| row.to_vec()).collect();
            Posterior::new(pair(), covariance, 0.0).expect_err("refused").to_string()
        };
        assert_eq!(refused(&[&[1.0]]), "`posterior.covariance` has 1 rows of 1 numbers, but `constants` names 2");
        assert_eq!(
            refused(&[&[1.0, 0.1], &[0.2, 1.0]]),
            "`posterior.covariance` is not symmetric: row 0 has 0.1 for 1, row 1 has 0.2"
        );
        assert_eq!(refused(&[&[1.0, 2.0], &[2.0, 1.0]]), "`posterior.covariance` is not positive definite");
        let twice = Posterior::new(vec![pair()[0]; 2], vec![vec![1.0, 0.0], vec![0.0, 1.0]], 0.0);
        assert_eq!(twice.expect_err("refused").to_string(), "`posterior.constants` names `all.gemm_mbu` twice");
    }
}
