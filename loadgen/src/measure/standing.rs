//! Which SLO stood when.

use crate::slo::Slo;
use crate::time::Micros;

/// The SLOs of a run, each from the instant at which it was set to the next one.
///
/// Memory grows with the number of changes, which come at the pace of an operator.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// In the order of instants; never empty, the first holds from the start of the run.
    changes: Vec<(Micros, Option<Slo>)>,
}

impl Standing {
    /// From the start of the run `slo` stands, if there is one.
    pub(crate) fn new(slo: Option<Slo>) -> Self {
        Self { changes: vec![(Micros::ZERO, slo)] }
    }

    /// From `at` on `slo` stands, or none. An instant before the last change counts as that one.
    pub(crate) fn change(&mut self, at: Micros, slo: Option<Slo>) {
        let at = self.changes.last().map_or(at, |(last, _)| at.max(*last));
        self.changes.push((at, slo));
    }

    /// The one that stands at the end.
    pub(crate) fn now(&self) -> Option<Slo> {
        self.changes.last().and_then(|(_, slo)| *slo)
    }

    /// The one that stood at `at`.
    pub(crate) fn at(&self, at: Micros) -> Option<Slo> {
        self.upto(at).last().and_then(|(_, slo)| *slo)
    }

    /// The one that stood at `at`, or if none did, the last one before.
    pub(crate) fn last_at(&self, at: Micros) -> Option<Slo> {
        self.upto(at).iter().rev().find_map(|(_, slo)| *slo)
    }

    /// How much of the time from `from` to `to` one stood.
    pub(crate) fn within(&self, from: Micros, to: Micros) -> Micros {
        let ends = self.changes.iter().skip(1).map(|(at, _)| *at).chain([to]);
        let stretches = self.changes.iter().zip(ends).filter(|((_, slo), _)| slo.is_some());
        stretches.fold(Micros::ZERO, |sum, ((start, _), end)| sum + end.min(to).since((*start).max(from)))
    }

    fn upto(&self, at: Micros) -> &[(Micros, Option<Slo>)] {
        &self.changes[..self.changes.partition_point(|(since, _)| *since <= at)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Option<Slo> = Some(Slo { ttft: Some(Micros(1)), tpot: None, itl_p99: None, itl_mean: None, e2e: None });
    const TWO: Option<Slo> = Some(Slo { ttft: Some(Micros(2)), tpot: None, itl_p99: None, itl_mean: None, e2e: None });

    /// None until 10, one to 20, another to 30, none to 40, the first again.
    fn standing() -> Standing {
        let mut standing = Standing::new(None);
        for (at, slo) in [(10, ONE), (20, TWO), (30, None), (40, ONE)] {
            standing.change(Micros(at), slo);
        }
        standing
    }

    #[test]
    fn each_stands_from_its_instant_to_the_next() {
        let at = |at| standing().at(Micros(at));
        assert_eq!([0, 9, 10, 19, 20, 29, 30, 39, 40].map(at), [None, None, ONE, ONE, TWO, TWO, None, None, ONE]);
        assert_eq!([9, 15, 35].map(|at| standing().last_at(Micros(at))), [None, ONE, TWO]);
        assert_eq!((standing().now(), Standing::new(None).now()), (ONE, None));
    }

    #[test]
    fn time_counts_where_one_stood() {
        let within = |from, to| standing().within(Micros(from), Micros(to)).0;
        assert_eq!(within(0, 100), 20 + 60);
        assert_eq!((within(0, 10), within(12, 25), within(25, 45), within(30, 40)), (0, 13, 10, 0));
        assert_eq!(within(50, 20), 0, "a window that ends before it begins");
        assert_eq!(Standing::new(ONE).within(Micros(3), Micros(10)).0, 7);
    }

    #[test]
    fn a_change_that_comes_out_of_order_counts_from_the_one_before_it() {
        let mut standing = standing();
        standing.change(Micros(5), None);
        assert_eq!((standing.at(Micros(15)), standing.at(Micros(40))), (ONE, None));
    }
}
