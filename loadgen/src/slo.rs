//! Service-level objectives: what makes a request good.

use crate::time::Micros;

/// Bounds that a request must meet to be good. At least one is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slo {
    /// Bound on TTFT, from due.
    pub ttft: Option<Micros>,
    /// Bound on TPOT. A one-token answer has no TPOT and meets it.
    pub tpot: Option<Micros>,
    /// Bound on the request's p99 ITL.
    pub itl_p99: Option<Micros>,
    /// Bound on the request's mean ITL.
    pub itl_mean: Option<Micros>,
    /// Bound on E2E, from due.
    pub e2e: Option<Micros>,
}
