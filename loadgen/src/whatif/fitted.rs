//! What steps take, fitted to requests whose stages were observed: for units of which there is no profile.
//!
//! ```text
//!   samples ─► SightLog ─► Sights ─► activity of each unit ─► stretches of steps ─► least squares ─► Law ─► a Basis
//! ```
//!
//! A unit is busy without a break while a prompt is computed, and from one token of an answer to the next. So such a stretch
//! takes what its steps take together, and what they contained is told by the requests that were there:
//!
//! ```text
//!   prompts alone   steps × a + tokens × b + pairs × c
//!   answers         steps × d + sequences × e + positions × f  (+ tokens × b + pairs × c where prompts are mixed in)
//!   a hand-off      s + tokens × t
//! ```
//!
//! Of a target that tells neither units nor stages, the same is fitted to what its clients see ([`untold`]): the split is all that is
//! known of units then, and requests are taken to be spread evenly over them.
//!
//! No cost is negative. Nothing is known beforehand but that each cost alone takes no more than all of the time: where requests
//! are too much alike to tell two costs apart, draws share the time between them in every way, the ranges of predictions
//! are wide, and it is said which costs they are.

mod activity;
mod busy;
mod eras;
mod law;
mod seen;
mod solve;
mod stretches;
mod untold;

pub use eras::Eras;
pub(super) use law::Law;
pub use law::{Fit, UnitTerms};
pub(super) use seen::SightLog;
pub use seen::Sights;

#[cfg(test)]
pub(super) mod tests;
