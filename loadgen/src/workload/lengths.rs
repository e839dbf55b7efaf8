//! Distributions of lengths in tokens.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::text::{Malformed, serde_as_text};

/// How long prompts or answers are, in tokens.
///
/// As text: `1000`, `uniform:100..900`, `normal:1000,200`, `lognormal:1000,0.8`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lengths {
    /// Always the same.
    Fixed(u32),
    /// Every length from the first to the second, both included, equally often.
    Uniform(u32, u32),
    /// Normal with this mean and standard deviation, in tokens.
    Normal(f64, f64),
    /// Log-normal with this median in tokens, and this standard deviation of the natural logarithm.
    LogNormal(f64, f64),
}

impl Eq for Lengths {}

/// The largest mean, median or standard deviation that can be written; far beyond every context there is.
const MOST: f64 = 1e9;

impl Lengths {
    /// One length as the distribution has it, which may be 0 or beyond what can be served.
    pub(crate) fn draw(self, stream: &mut ChaCha12Rng) -> u32 {
        // Casts from float saturate, so that a wild draw is a length that nothing can serve and is drawn again.
        match self {
            Self::Fixed(tokens) => tokens,
            Self::Uniform(low, high) => stream.random_range(low..=high),
            Self::Normal(mean, deviation) => (mean + deviation * standard_normal(stream)).round() as u32,
            Self::LogNormal(median, sigma) => (median * (sigma * standard_normal(stream)).exp()).round() as u32,
        }
    }

    /// Whether it is always the same.
    pub fn is_fixed(self) -> bool {
        matches!(self, Self::Fixed(_))
    }
}

fn standard_normal(stream: &mut ChaCha12Rng) -> f64 {
    StandardNormal.sample(stream)
}

impl fmt::Display for Lengths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(tokens) => write!(f, "{tokens}"),
            Self::Uniform(low, high) => write!(f, "uniform:{low}..{high}"),
            Self::Normal(mean, deviation) => write!(f, "normal:{mean},{deviation}"),
            Self::LogNormal(median, sigma) => write!(f, "lognormal:{median},{sigma}"),
        }
    }
}

impl FromStr for Lengths {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = |allowed: &str| Malformed::new("a distribution of lengths", text, allowed);
        let pair = |parameters: &str, separator: &str, allowed: &str| {
            let (a, b) = parameters.split_once(separator).ok_or_else(|| malformed(allowed))?;
            Ok((decimal(a).ok_or_else(|| malformed(allowed))?, decimal(b).ok_or_else(|| malformed(allowed))?))
        };
        match text.split_once(':') {
            None => match text.parse() {
                Ok(0) => Err(malformed("at least 1 token")),
                Ok(tokens) => Ok(Self::Fixed(tokens)),
                Err(_) => Err(malformed("write 1000, uniform:A..B, normal:M,S or lognormal:MEDIAN,SIGMA, in tokens")),
            },
            Some(("uniform", parameters)) => {
                let allowed = "uniform:A..B has whole numbers with 1 <= A <= B";
                let (low, high) = parameters.split_once("..").ok_or_else(|| malformed(allowed))?;
                match (low.trim().parse(), high.trim().parse()) {
                    (Ok(low), Ok(high)) if 1 <= low && low <= high => Ok(Self::Uniform(low, high)),
                    _ => Err(malformed(allowed)),
                }
            }
            Some(("normal", parameters)) => {
                let allowed = "normal:M,S has a mean of at least 1 token and a standard deviation of at least 0";
                let (mean, deviation) = pair(parameters, ",", allowed)?;
                if mean < 1.0 { Err(malformed(allowed)) } else { Ok(Self::Normal(mean, deviation)) }
            }
            Some(("lognormal", parameters)) => {
                let allowed = "lognormal:MEDIAN,SIGMA has a median of at least 1 token and a sigma in 0..=10";
                let (median, sigma) = pair(parameters, ",", allowed)?;
                if median < 1.0 || sigma > 10.0 { Err(malformed(allowed)) } else { Ok(Self::LogNormal(median, sigma)) }
            }
            Some(_) => Err(malformed("names are uniform, normal, lognormal")),
        }
    }
}

/// A plain decimal number in `0..=MOST`.
fn decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|number| plain && (0.0..=MOST).contains(number))
}

serde_as_text!(Lengths);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_distribution_is_refused() {
        for text in [
            "",
            "0",
            "-5",
            "1.5",
            "abc",
            "uniform:5",
            "uniform:0..5",
            "uniform:9..5",
            "normal:0,5",
            "normal:5",
            "normal:5,-1",
            "normal:nan,1",
            "normal:inf,1",
            "lognormal:100,11",
            "lognormal:0.5,1",
            "file:x",
            "gamma:1,2",
        ] {
            assert!(text.parse::<Lengths>().is_err(), "{text}");
        }
    }

    fn any_lengths() -> impl Strategy<Value = Lengths> {
        prop_oneof![
            (1..u32::MAX).prop_map(Lengths::Fixed),
            (1..1000_u32, 0..100_000_u32).prop_map(|(low, more)| Lengths::Uniform(low, low + more)),
            (1.0..1e9_f64, 0.0..1e9_f64).prop_map(|(mean, deviation)| Lengths::Normal(mean, deviation)),
            (1.0..1e9_f64, 0.0..10.0_f64).prop_map(|(median, sigma)| Lengths::LogNormal(median, sigma)),
        ]
    }

    proptest! {
        #[test]
        fn a_distribution_reads_back_what_it_prints(lengths in any_lengths()) {
            prop_assert_eq!(lengths.to_string().parse(), Ok(lengths));
        }
    }
}
