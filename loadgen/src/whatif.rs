//! What every split of the units present would give under the traffic that was just observed.
//!
//! ```text
//!   observing thread ─► TrafficLog ─► Observed (the last minute of offered requests)
//!                                          ▼
//!   basis (limits, times of steps: of a profile, or fitted to what was seen) ──► predict: the scheduler in virtual time, a split at a time ─► WhatIf
//!                                          ▼                                                          ▼
//!   snapshots ─────────────────────────► Scorer: predictions against what was then measured ─► Outlook ─► screen
//! ```
//!
//! The first timing of a basis gives the middle of every interval; the others move what is not known for sure, and shuffle
//! the gaps between arrivals. All splits see the same. Everything but [`Worker`] is pure.

mod basis;
mod change;
mod contest;
mod cost;
mod export;
mod fitted;
mod outlook;
mod past;
mod predict;
mod rows;
mod score;
mod traffic;
mod why;
mod worker;

pub use crate::plan::{Interval, Limit};
pub use basis::{Basis, Ground, Grounds};
pub use change::{Aspect, CHANGES, Change};
pub use cost::MoveCost;
pub use export::export;
pub use fitted::{Eras, Fit, Sights, UnitTerms};
pub use outlook::Outlook;
pub use past::{Hindsight, PastAsk};
pub use predict::{Asked, SplitPrediction, WhatIf, predict};
pub use score::{Measured, Outcome, Score};
pub use traffic::{Observed, Offered};
pub use why::{Finding, Latency, Verdict, findings};
pub use worker::{Source, Worker};

pub(crate) use traffic::TrafficLog;

use engine::units::{Role, Split};

/// How many units change their role on the way from one split to another.
pub fn moves(from: Split, to: Split) -> u16 {
    let lost = |role: Role| from.count(role).saturating_sub(to.count(role));
    lost(Role::Prefill) + lost(Role::Decode) + lost(Role::Aggregated)
}

/// Every split of as many units as `now` has: from all but one that prefill to all but one that decode, then all that do
/// both. A split that is none of these, as `now` may be, comes first.
pub fn candidates(now: Split) -> Vec<Split> {
    let mut splits = crate::plan::candidates(now.units());
    let aggregated = splits.pop();
    splits.reverse();
    splits.extend(aggregated);
    if !splits.contains(&now) {
        splits.insert(0, now);
    }
    splits
}

#[cfg(test)]
mod tests;
