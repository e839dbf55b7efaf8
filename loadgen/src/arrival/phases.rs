//! How fast requests arrive over the run, as a user writes it.

use std::fmt;
use std::str::FromStr;

use super::rate::RateCurve;
use crate::text::{DurationText, Malformed, parse_duration, serde_as_text};
use crate::time::Micros;

/// The highest rate that can be asked for: one request a microsecond, the grain of due times.
pub const MAX_RATE: f64 = 1e6;

/// A stretch of time in which the rate goes linearly from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Phase {
    /// Requests per second at its start.
    pub from: f64,
    /// Requests per second at its end; the same as `from` when the rate is constant.
    pub to: f64,
    /// Its length.
    pub length: Micros,
}

/// The planned rate of a synthetic load: `4` for ever, or phases such as `4/s 60s, 4..12/s 2m, 12/s 60s`.
#[derive(Clone, Debug, PartialEq)]
pub enum RatePlan {
    /// One rate in requests per second.
    Constant(f64),
    /// Phases one after another; never empty. The last rate holds when the run is longer.
    Phases(Vec<Phase>),
}

impl RatePlan {
    /// The length of all phases; `None` for a constant rate, which has no end of its own.
    pub fn length(&self) -> Option<Micros> {
        match self {
            Self::Constant(_) => None,
            Self::Phases(phases) => Some(phases.iter().fold(Micros::ZERO, |sum, phase| sum + phase.length)),
        }
    }

    /// The plan as a curve that can be changed while the run goes on.
    pub fn curve(&self) -> RateCurve {
        match self {
            Self::Constant(rate) => RateCurve::constant(*rate),
            Self::Phases(phases) => RateCurve::from_phases(phases),
        }
    }

    /// Reads one rate: `4`, `0.5` or `4/s`.
    ///
    /// # Errors
    /// When the text is not a number above 0 and at most [`MAX_RATE`].
    pub fn parse_rate(text: &str) -> Result<Self, Malformed> {
        let rate = number(text.strip_suffix("/s").unwrap_or(text));
        rate.filter(|rate| *rate > 0.0).map(Self::Constant).ok_or_else(|| {
            Malformed::new(
                "a rate",
                text,
                "a number of requests per second above 0 and at most 1000000, without an exponent",
            )
        })
    }

    /// Reads phases.
    ///
    /// # Errors
    /// When a phase is not `RATE/s DURATION` or `FROM..TO/s DURATION`, or no phase sends anything.
    pub fn parse_phases(text: &str) -> Result<Self, Malformed> {
        let phases = text.split(',').map(|part| parse_phase(part.trim())).collect::<Result<Vec<_>, _>>()?;
        if phases.iter().all(|phase| phase.from == 0.0 && phase.to == 0.0) {
            return Err(Malformed::new("a load", text, "at least one phase has a rate above 0"));
        }
        Ok(Self::Phases(phases))
    }
}

/// A plain decimal number in `0..=MAX_RATE`. `inf`, `nan` and exponents, which `f64` would read, are not what a user means.
fn number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|rate| plain && (0.0..=MAX_RATE).contains(rate))
}

fn parse_phase(text: &str) -> Result<Phase, Malformed> {
    let malformed = || {
        Malformed::new("a phase", text, "write RATE/s DURATION or FROM..TO/s DURATION, such as 4/s 60s or 4..12/s 2m")
    };
    let (rates, length) = text.split_once("/s ").ok_or_else(malformed)?;
    let (from, to) = rates.split_once("..").unwrap_or((rates, rates));
    let from = number(from.trim()).ok_or_else(malformed)?;
    let to = number(to.trim()).ok_or_else(malformed)?;
    let length = parse_duration(length.trim())?;
    if length == Micros::ZERO {
        return Err(Malformed::new("a phase", text, "its duration is above 0"));
    }
    Ok(Phase { from, to, length })
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, length } = self;
        if from.total_cmp(to).is_eq() {
            write!(f, "{from}/s {}", DurationText(*length))
        } else {
            write!(f, "{from}..{to}/s {}", DurationText(*length))
        }
    }
}

impl fmt::Display for RatePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(rate) => write!(f, "{rate}/s"),
            Self::Phases(phases) => {
                let mut comma = "";
                for phase in phases {
                    write!(f, "{comma}{phase}")?;
                    comma = ", ";
                }
                Ok(())
            }
        }
    }
}

impl FromStr for RatePlan {
    type Err = Malformed;

    /// A text with a space is phases, one without is a rate.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.trim().contains(' ') { Self::parse_phases(text) } else { Self::parse_rate(text) }
    }
}

serde_as_text!(RatePlan);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn phases_read_back_what_they_print() {
        let text = "4/s 60s, 4..12/s 2m, 12/s 60s, 0/s 500ms";
        let plan: RatePlan = text.parse().expect("phases");
        assert_eq!(plan.to_string(), "4/s 1m, 4..12/s 2m, 12/s 1m, 0/s 500ms");
        assert_eq!(plan.to_string().parse(), Ok(plan.clone()));
        assert_eq!(plan.length(), Some(Micros(240_500_000)));
        assert_eq!("0.5".parse(), Ok(RatePlan::Constant(0.5)));
        assert_eq!("4/s".parse(), Ok(RatePlan::Constant(4.0)));
    }

    #[test]
    fn what_is_no_rate_or_phase_is_refused() {
        for text in [
            "",
            "0",
            "-1",
            "nan",
            "inf",
            "1e3",
            "1000001",
            "4/m",
            "4/s60s",
            "4 60s",
            "4..8/s",
            "4/s 0s",
            "4/s 60",
            "0/s 60s",
            "4/s 60s,",
            "4..x/s 1s",
        ] {
            assert!(text.parse::<RatePlan>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_plan_reads_back_what_it_prints(
            phases in prop::collection::vec((0.0..1e6_f64, 0.001..1e6_f64, 1..10_000_000_000_u64), 1..5)
        ) {
            let phases = phases.into_iter().map(|(from, to, length)| Phase { from, to, length: Micros(length) }).collect();
            let plan = RatePlan::Phases(phases);
            prop_assert_eq!(plan.to_string().parse(), Ok(plan));
        }
    }
}
