//! How long something has been wrong. A pod that finds no node may do so once another one has gone.

use std::collections::BTreeMap;

use crate::time::Micros;

/// How long something may be wrong before it counts: a GPU that was freed is offered again within seconds.
const GRACE: Micros = Micros(60_000_000);

/// What is wrong, and since when.
#[derive(Debug, Default)]
pub(super) struct Waits {
    since: BTreeMap<String, Micros>,
}

impl Waits {
    /// Something was changed that may end what is wrong: all of it is given its time again.
    pub(super) fn restart(&mut self) {
        self.since.clear();
    }

    /// Takes in all that is wrong now, of whom and what; what has been wrong for too long.
    pub(super) fn see(&mut self, wrong: &[(&str, &str)], now: Micros) -> Option<String> {
        self.since.retain(|whom, _| wrong.iter().any(|(wrong, _)| wrong == whom));
        let mut lasting = None;
        for (whom, what) in wrong {
            let since = *self.since.entry((*whom).to_owned()).or_insert(now);
            if now.since(since) >= GRACE {
                lasting = lasting.or_else(|| Some(format!("{what} (for {} s)", now.since(since).0 / 1_000_000)));
            }
        }
        lasting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrong_for_a_minute_without_end_is_told() {
        let mut waits = Waits::default();
        let second = |at: u64| Micros(at * 1_000_000);
        assert_eq!(waits.see(&[("p", "no node")], second(0)), None);
        assert_eq!(waits.see(&[("p", "no node"), ("q", "no image")], second(59)), None);
        assert_eq!(
            waits.see(&[("p", "no node"), ("q", "no image")], second(61)).as_deref(),
            Some("no node (for 61 s)")
        );
        assert_eq!(waits.see(&[("q", "no image")], second(62)), None);
        assert_eq!(waits.see(&[("p", "no node")], second(200)), None, "it begins anew");
        assert!(waits.see(&[("p", "no node")], second(270)).is_some());
        waits.restart();
        assert_eq!(waits.see(&[("p", "no node")], second(271)), None, "a call may have ended it");
    }
}
