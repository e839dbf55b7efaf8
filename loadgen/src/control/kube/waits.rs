//! How long something has been wrong. A pod that finds no node may do so once another one has gone.

use std::collections::BTreeMap;

use crate::control::plane::{Trouble, Whose};
use crate::time::Micros;

/// How long something may be wrong before it counts: a GPU that was freed is offered again within seconds.
const GRACE: Micros = Micros(60_000_000);

/// What is wrong, and since when.
#[derive(Debug, Default)]
pub(super) struct Waits {
    since: BTreeMap<Whose, Micros>,
}

impl Waits {
    /// Something was changed that may end what is wrong: all of it is given its time again.
    pub(super) fn restart(&mut self) {
        self.since.clear();
    }

    /// Takes in all that is wrong now; what has been wrong for too long.
    pub(super) fn see(&mut self, wrong: &[Trouble], now: Micros) -> Vec<Trouble> {
        self.since.retain(|whose, _| wrong.iter().any(|trouble| trouble.of == *whose));
        let mut lasting = Vec::new();
        for Trouble { of, why } in wrong {
            let lasted = now.since(*self.since.entry(of.clone()).or_insert(now));
            if lasted >= GRACE {
                let why = format!("{why} (for {} s)", lasted.0 / 1_000_000);
                lasting.push(Trouble { of: of.clone(), why });
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
        let [p, q] = [("p", "no node"), ("q", "no image")].map(|(name, why)| Trouble::of_member(name, why));
        let mut see = |wrong: &[&Trouble], at| {
            let wrong: Vec<_> = wrong.iter().map(|trouble| (*trouble).clone()).collect();
            waits.see(&wrong, second(at))
        };
        assert_eq!(see(&[&p], 0), []);
        assert_eq!(see(&[&p, &q], 59), []);
        assert_eq!(see(&[&p, &q], 61), [Trouble::of_member("p", "no node (for 61 s)")]);
        assert_eq!(see(&[&q], 62), []);
        assert_eq!(see(&[&p], 200), [], "it begins anew");
        assert_eq!(see(&[&p], 270).len(), 1);
        waits.restart();
        assert_eq!(waits.see(&[p], second(271)), [], "a call may have ended it");
    }
}
