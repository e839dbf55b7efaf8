//! How a goodput is measured. The two ways disagree, so that each figure says which it is.

use std::fmt;
use std::str::FromStr;

use super::rows::FEWEST;
use crate::text::{Malformed, serde_as_text};

/// A way to measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Procedure {
    /// A window in steady state; each request is judged by itself.
    #[default]
    Sustained,
    /// So many evenly spaced requests into an empty system, averaged over all: the means are held against the bounds. How
    /// published figures were often measured. A rate counts as far as first tokens keep up with it.
    Burst(u32),
}

serde_as_text!(Procedure);

impl fmt::Display for Procedure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sustained => f.write_str("sustained"),
            Self::Burst(requests) => write!(f, "burst:{requests}"),
        }
    }
}

impl FromStr for Procedure {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let burst = || {
            text.strip_prefix("burst:")?.parse().ok().filter(|requests| (FEWEST as u32..=100_000).contains(requests))
        };
        match text {
            "sustained" => Ok(Self::Sustained),
            _ => burst().map(Self::Burst).ok_or_else(|| {
                Malformed::new("a procedure", text, "sustained, or burst:N with N from 20 to 100000 requests")
            }),
        }
    }
}
