//! What servers say went wrong: a finding of its own, which may be there whatever limits.

use std::fmt;

use crate::live::ServerView;
use crate::metrics::Counter;
use crate::summary::counted;
use crate::time::Micros;

/// Something that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// KV did not get from the units that prefill to those that decode. Requests are then computed anew, or fail.
    KvTransfers {
        /// Transfers that failed.
        failed: u64,
        /// Requests whose KV was given up because nobody fetched it.
        expired: u64,
    },
}

/// What servers have said in the last seconds.
pub fn fault(servers: &[ServerView], now: Micros) -> Option<Fault> {
    let fresh = || servers.iter().filter(|server| server.is_fresh(now)).map(|server| (server.whole, &server.sums));
    Fault::of(counted(fresh(), Counter::HandOffFailed), counted(fresh(), Counter::HandOffExpired))
}

impl Fault {
    /// Of so many transfers that failed or whose KV expired.
    pub fn of(failed: Option<u64>, expired: Option<u64>) -> Option<Self> {
        let (failed, expired) = (failed.unwrap_or(0), expired.unwrap_or(0));
        (failed > 0 || expired > 0).then_some(Self::KvTransfers { failed, expired })
    }
}

/// `3 KV transfers failed, KV of 1 request expired: the prompt is computed again, or the request fails`.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::KvTransfers { failed, expired } = *self;
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        if failed > 0 {
            write!(f, "{failed} KV transfer{} failed", plural(failed))?;
        }
        if expired > 0 {
            let comma = if failed > 0 { ", " } else { "" };
            write!(f, "{comma}KV of {expired} request{} expired unfetched", plural(expired))?;
        }
        f.write_str(": such prompts are computed again, or their requests fail")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Gauges, Sums};

    fn server(whole: bool, heard: u64, failed: u64) -> ServerView {
        let mut sums = Sums::default();
        sums.add_count(Counter::HandOffFailed, failed);
        let (role, unit, gauges) = (None, None, Gauges::default());
        ServerView { name: "a:1".into(), role, unit, whole, heard: Micros(heard), span: Micros(1), gauges, sums }
    }

    #[test]
    fn failed_transfers_are_a_fault_and_a_gateway_does_not_double_them() {
        let now = Micros(1_000_000);
        assert_eq!(fault(&[server(false, 0, 0)], now), None);
        let told = [server(false, 0, 2), server(false, 0, 1), server(true, 0, 3)];
        let fault = fault(&told, now).expect("a fault");
        assert_eq!(fault, Fault::KvTransfers { failed: 3, expired: 0 });
        assert!(fault.to_string().starts_with("3 KV transfers failed: "), "{fault}");
        assert_eq!(super::fault(&told, Micros(60_000_000)), None, "that is long ago");
    }

    #[test]
    fn what_was_given_up_is_told_apart_from_what_failed() {
        let both = Fault::of(Some(1), Some(2)).expect("a fault").to_string();
        assert!(both.starts_with("1 KV transfer failed, KV of 2 requests expired unfetched: "), "{both}");
        let expired = Fault::of(None, Some(1)).expect("a fault").to_string();
        assert!(expired.starts_with("KV of 1 request expired unfetched: "), "{expired}");
    }
}
