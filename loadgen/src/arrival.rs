//! When requests are due, apart from how fast.
//!
//! An arrival process yields *operational* instants: the cumulative intensity Λ at which each request arrives, as if the
//! rate were one request per second for ever. [`RateCurve`] maps Λ to time. Because the randomness lives in Λ alone, the
//! rate can be changed while a run goes on without drawing anything anew: arrivals before the change stay where they
//! are, those after it move.
//!
//! ```text
//!   seed ─► Operational: Λ₀ ≤ Λ₁ ≤ Λ₂ …  ──► RateCurve (phases, set_rate, pause): Λ ↦ t ──► due
//! ```
//!
//! Λ as a change of time scale is the classical construction of a non-homogeneous Poisson process (Çinlar, *Introduction
//! to Stochastic Processes*, 1975, ch. 4.7): unit-rate arrivals mapped through the inverse of the integrated rate.

mod constant;
pub mod phases;
mod poisson;
pub mod rate;

use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha12Rng;

pub use phases::{Phase, RatePlan};
pub use rate::RateCurve;

use constant::Constant;
use poisson::Poisson;

use crate::text::{Malformed, serde_as_text};

/// How gaps between arrivals are distributed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrival {
    /// Equal gaps.
    Constant,
    /// Exponential gaps: independent users.
    #[default]
    Poisson,
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        })
    }
}

impl FromStr for Arrival {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "constant" => Ok(Self::Constant),
            "poisson" => Ok(Self::Poisson),
            _ => Err(Malformed::new("an arrival process", text, "constant, poisson")),
        }
    }
}

serde_as_text!(Arrival);

/// The operational instants of a synthetic load, non-decreasing and without end.
#[derive(Clone, Debug)]
pub(crate) struct Operational {
    arrival: Arrival,
    constant: Constant,
    /// Boxed: a cipher's state is large.
    poisson: Box<Poisson>,
}

impl Operational {
    pub(crate) fn new(arrival: Arrival, stream: ChaCha12Rng) -> Self {
        Self { arrival, constant: Constant::default(), poisson: Box::new(Poisson::new(stream)) }
    }

    /// The Λ of the next arrival.
    pub(crate) fn draw(&mut self) -> f64 {
        match self.arrival {
            Arrival::Constant => self.constant.draw(),
            Arrival::Poisson => self.poisson.draw(),
        }
    }

    /// Gaps after the arrival at Λ = `lambda` are distributed like this.
    pub(crate) fn change(&mut self, arrival: Arrival, lambda: f64) {
        if arrival != self.arrival {
            self.arrival = arrival;
            self.constant = Constant::after(lambda);
            self.poisson.go_on_after(lambda);
        }
    }
}
