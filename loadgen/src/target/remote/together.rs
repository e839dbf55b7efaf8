//! What arrived together.

use crate::time::Micros;

/// What is read within this time of what came before has come with it: a server's one write, which the client's connection hands
/// over piece by piece. No model is so fast.
const TOGETHER: Micros = Micros(100);

/// Stamps what comes.
#[derive(Debug, Default)]
pub(in crate::target) struct Arrivals {
    last: Option<Micros>,
}

impl Arrivals {
    /// When what is read at `now` has come.
    pub(in crate::target) fn at(&mut self, now: Micros) -> Micros {
        let at = self.last.filter(|last| now.since(*last) < TOGETHER).unwrap_or(now);
        self.last = Some(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_a_moment_later_has_come_together_and_not_for_ever() {
        let mut arrivals = Arrivals::default();
        let stamps = [1_000, 1_040, 1_080, 1_120, 1_160, 9_000].map(|now| arrivals.at(Micros(now)).0);
        assert_eq!(stamps, [1_000, 1_000, 1_000, 1_120, 1_120, 9_000]);
    }
}
