//! What servers tell of themselves, as a screen shows it.

use std::sync::Arc;

use engine::units::{Role, UnitId};

use crate::metrics::{Gauges, Sums, Timer};
use crate::time::Micros;

/// What was told longer ago than this is not what is.
const STALE: Micros = Micros(5_000_000);
/// Nor what was told so many times as long ago as it usually takes to be told anew.
const MISSED: u64 = 3;

/// An engine, a unit, a worker or a whole service, by what it tells of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerView {
    /// Its name: an address, a unit or a replica; shared, as it is the same every second.
    pub name: Arc<str>,
    /// Its role, where it is known.
    pub role: Option<Role>,
    /// Which of the units it is, where it is known.
    pub unit: Option<UnitId>,
    /// It speaks for the whole service.
    pub whole: bool,
    /// When it last told.
    pub heard: Micros,
    /// How long before that it had told the last time but one.
    pub span: Micros,
    /// What it held then.
    pub gauges: Gauges,
    /// What it counted over the last seconds before that.
    pub sums: Sums,
}

impl ServerView {
    /// Whether what it told is what is.
    pub fn is_fresh(&self, now: Micros) -> bool {
        now.since(self.heard) <= STALE.max(Micros(self.span.0.saturating_mul(MISSED)))
    }
}

/// What the servers of one kind have counted together: those that speak for the whole, or those of a role. Units that do both, and
/// those whose role nobody knows, are kinds of their own.
pub fn counted_by(servers: &[ServerView], now: Micros, whole: bool, role: Option<Role>) -> Sums {
    let mut sums = Sums::default();
    let of_kind = |server: &&ServerView| server.whole == whole && (whole || server.role == role);
    for server in servers.iter().filter(of_kind).filter(|server| server.is_fresh(now)) {
        sums.add(&server.sums);
    }
    sums
}

/// The mean TTFT as servers have it: that of the whole service where one tells, else that of units. Where some prefill and others
/// decode, a request passes both, one after the other.
pub fn server_ttft(servers: &[ServerView], now: Micros) -> Option<Micros> {
    let mean = |whole, role| counted_by(servers, now, whole, role).mean(Timer::Ttft);
    let both = || Some(mean(false, Some(Role::Decode))? + mean(false, Some(Role::Prefill)).unwrap_or_default());
    mean(true, None).or_else(both).or_else(|| mean(false, Some(Role::Aggregated))).or_else(|| mean(false, None))
}

/// The mean time between two tokens as servers have it.
pub fn server_itl(servers: &[ServerView], now: Micros) -> Option<Micros> {
    let mean = |whole, role| counted_by(servers, now, whole, role).mean(Timer::Gap);
    let roles = [Some(Role::Decode), Some(Role::Aggregated), None];
    mean(true, None).or_else(|| roles.into_iter().find_map(|role| mean(false, role)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Timed;

    fn server(whole: bool, role: Option<Role>, ttft: u64, gap: u64) -> ServerView {
        let mut sums = Sums::default();
        sums.add_time(Timer::Ttft, Timed::exact(10, Micros(10 * ttft)));
        sums.add_time(Timer::Gap, Timed::exact(100, Micros(100 * gap)));
        let (name, gauges, unit) = ("a:1".into(), Gauges::default(), None);
        ServerView { name, role, unit, whole, heard: Micros(5), span: Micros(1), gauges, sums }
    }

    #[test]
    fn a_request_passes_both_sides_and_a_gateway_knows_better() {
        let now = Micros(6);
        let prefill = server(false, Some(Role::Prefill), 100, 0);
        let decode = server(false, Some(Role::Decode), 30, 20);
        let sides = vec![prefill, decode.clone(), decode];
        assert_eq!((server_ttft(&sides, now), server_itl(&sides, now)), (Some(Micros(130)), Some(Micros(20))));
        let known = [sides.clone(), vec![server(true, None, 150, 21)]].concat();
        assert_eq!((server_ttft(&known, now), server_itl(&known, now)), (Some(Micros(150)), Some(Micros(21))));
        let plain = [server(false, None, 80, 7)];
        assert_eq!((server_ttft(&plain, now), server_itl(&plain, now)), (Some(Micros(80)), Some(Micros(7))));
        assert_eq!(server_ttft(&known, Micros(60_000_000)), None, "nobody has told for a minute");
        assert_eq!(server_ttft(&[], now), None);
    }
}
