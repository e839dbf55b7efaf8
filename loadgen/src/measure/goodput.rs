//! What makes a request good.

use crate::sample::Sample;
use crate::slo::Slo;
use crate::time::Micros;

impl Slo {
    /// Whether a request is good: it completed and met every bound.
    ///
    /// TPOT and ITL of an answer of one token, or in one piece, are undefined and meet their bounds; an answer without any token has no TTFT and
    /// no E2E, and meets no bound on them. Errors, cut streams, cancelled and shed requests are never good.
    pub fn judge(&self, sample: &Sample) -> bool {
        let required =
            |bound: Option<Micros>, value: Option<Micros>| bound.is_none_or(|b| value.is_some_and(|v| v <= b));
        let where_defined = |bound: Option<Micros>, value: &dyn Fn() -> Option<Micros>| {
            bound.is_none_or(|b| value().is_none_or(|v| v <= b))
        };
        sample.outcome.is_completed()
            && required(self.ttft, sample.ttft())
            && required(self.e2e, sample.e2e())
            && where_defined(self.tpot, &|| sample.tpot())
            && where_defined(self.itl_mean, &|| sample.itl_mean())
            && where_defined(self.itl_p99, &|| sample.itl_quantile(990))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::{completed, failed};
    use crate::sample::{Gap, Outcome};

    const MS: u64 = 1_000;

    fn slo() -> Slo {
        Slo {
            ttft: Some(Micros(400 * MS)),
            tpot: Some(Micros(25 * MS)),
            itl_p99: Some(Micros(60 * MS)),
            itl_mean: Some(Micros(30 * MS)),
            e2e: Some(Micros(10_000 * MS)),
        }
    }

    #[test]
    fn a_bound_is_met_exactly_at_it_and_missed_one_microsecond_above() {
        let at_the_bounds = completed(0, 0, 400 * MS, &[25 * MS; 8]);
        assert!(slo().judge(&at_the_bounds));
        assert!(!slo().judge(&completed(0, 0, 400 * MS + 1, &[25 * MS; 8])), "ttft");
        let bound = |change: fn(&mut Slo)| {
            let mut slo = slo();
            change(&mut slo);
            slo
        };
        assert!(!bound(|s| s.tpot = Some(Micros(25 * MS - 1))).judge(&at_the_bounds), "tpot");
        assert!(!bound(|s| s.itl_p99 = Some(Micros(25 * MS - 1))).judge(&at_the_bounds), "itl.p99");
        assert!(!bound(|s| s.itl_mean = Some(Micros(25 * MS - 1))).judge(&at_the_bounds), "itl.mean");
        assert!(!bound(|s| s.e2e = Some(Micros(600 * MS - 1))).judge(&at_the_bounds), "e2e");
    }

    #[test]
    fn a_one_token_answer_meets_the_bounds_on_tpot_and_itl() {
        assert!(slo().judge(&completed(0, 0, 400 * MS, &[])));
        assert!(!slo().judge(&completed(0, 0, 401 * MS, &[])));
    }

    #[test]
    fn a_completed_answer_without_a_token_meets_no_bound_on_ttft() {
        let mut silent = completed(0, 0, 100, &[]);
        (silent.first, silent.last, silent.first_tokens, silent.output_tokens) = (None, None, 0, 0);
        assert!(!slo().judge(&silent));
        assert!(Slo { tpot: Some(Micros(1)), ..Slo::default() }.judge(&silent));
    }

    #[test]
    fn only_completed_requests_are_good_however_fast_they_were() {
        let fast = completed(0, 0, 1, &[1]);
        assert!(slo().judge(&fast));
        for outcome in [Outcome::Cut, Outcome::Cancelled, Outcome::Shed, failed()] {
            assert!(!slo().judge(&Sample { outcome: outcome.clone(), ..fast.clone() }), "{outcome:?}");
        }
    }

    #[test]
    fn tpot_counts_tokens_that_arrived_together_while_itl_sees_the_stall() {
        let mut bundled = completed(0, 0, 100 * MS, &[]);
        bundled.gaps = vec![Gap { gap: Micros(80 * MS), tokens: 4 }];
        (bundled.output_tokens, bundled.last) = (5, Some(Micros(180 * MS)));
        let tpot = Slo { tpot: Some(Micros(20 * MS)), ..Slo::default() };
        let itl = Slo { itl_p99: Some(Micros(60 * MS)), ..Slo::default() };
        assert!(tpot.judge(&bundled));
        assert!(!itl.judge(&bundled));
    }
}
