//! How far the answer moves when the load is not what was asked about: prompts, answers, what is cached of them, and the rate,
//! by a half and by a factor of two.
//!
//! One draw and fewer requests at first than the plan itself: what is told is where the answer goes, not how sure that is. All that is
//! compared here is measured here, the load as it was asked about included.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::simulate::{Setting, World};
use super::stretch::Stretch;
use super::{Question, SplitPlan, splits};
use crate::schedule::Traffic;
use crate::workload::{Lengths, PrefixHit};

/// Requests of each simulation at first.
const REQUESTS: u64 = 400;
/// Splits that are compared at most: the best disaggregated ones and the best that does it all in one.
const SPLITS: usize = 5;
/// What is tried as cached where nothing is.
const SOME: f64 = 0.5;
/// The most that is tried as cached.
const MOST: f64 = 0.95;

/// What is changed about a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Tokens of prompts.
    Isl,
    /// Tokens of answers.
    Osl,
    /// The share of prompts that is cached.
    PrefixHit,
    /// Requests per second.
    Rate,
}

/// The load with one thing changed, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// What is changed.
    pub what: Quantity,
    /// By which factor; `None` where there was nothing of it.
    pub factor: Option<f64>,
    /// What it is then: tokens on average, a share, requests per second.
    pub value: f64,
    /// What comes of it; `None` when the cluster cannot serve that.
    pub outcome: Option<Outcome>,
}

/// Who wins, and by how much.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// The split with the most goodput for each GPU; `None` when nothing is good.
    pub best: Option<String>,
    /// Its good requests per second for each GPU.
    pub goodput_per_gpu: f64,
    /// That of the best disaggregated split over that of the best aggregated one; `None` where one of them has none.
    pub pd_over_aggregated: Option<f64>,
}

/// The load as it was asked about, and each of its changes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sensitivity {
    pub(super) base: Outcome,
    pub(super) changes: Vec<Change>,
    /// What each quantity is in the load as it was asked about.
    pub(super) values: [f64; 4],
}

/// What is tried: nothing, or a quantity and the factor, or for what was not there its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Variation {
    AsAsked,
    Times(Quantity, f64),
    Becomes(PrefixHit),
}

/// All that is tried with the load of `question`, the load as it is first.
pub(super) fn variations(question: &Question) -> Vec<Variation> {
    let mut variations = vec![Variation::AsAsked];
    let both = |what| [Variation::Times(what, 0.5), Variation::Times(what, 2.0)];
    // Of a trace, lengths and prefixes are what they are.
    if matches!(question.load.traffic, Traffic::Synthetic { .. }) {
        variations.extend([Quantity::Isl, Quantity::Osl].into_iter().flat_map(both));
        // Where nothing is cached, prompts share nothing.
        if question.cluster.profile.config.prefix_cache {
            variations.extend(of_prefix_hit(question.load.prefix_hit));
        }
    }
    if question.rate.is_some() {
        variations.extend(both(Quantity::Rate));
    }
    variations
}

/// Half and twice of what is shared, as far as so much can be; some of it where nothing is.
fn of_prefix_hit(hit: PrefixHit) -> Vec<Variation> {
    if hit.is_none() {
        return vec![Variation::Becomes(PrefixHit::clamped(SOME))];
    }
    let factors = [0.5, 2.0].into_iter().filter(|factor| hit.share() * factor <= MOST);
    factors.map(|factor| Variation::Times(Quantity::PrefixHit, factor)).collect()
}

/// The question with the load changed, and small enough to be asked often.
fn asked(question: &Question, variation: Variation) -> Question {
    let mut asked = Question { draws: 0, requests: question.requests.min(REQUESTS), ..question.clone() };
    match (variation, &mut asked.load.traffic) {
        (Variation::Times(Quantity::Isl, factor), Traffic::Synthetic { isl, .. }) => *isl = scaled(*isl, factor),
        (Variation::Times(Quantity::Osl, factor), Traffic::Synthetic { osl, .. }) => *osl = scaled(*osl, factor),
        (Variation::Times(Quantity::PrefixHit, factor), _) => {
            asked.load.prefix_hit = PrefixHit::clamped(asked.load.prefix_hit.share() * factor);
        }
        (Variation::Becomes(hit), _) => asked.load.prefix_hit = hit,
        (Variation::Times(Quantity::Rate, factor), _) => asked.rate = asked.rate.map(|rate| rate * factor),
        (Variation::AsAsked | Variation::Times(..), _) => {}
    }
    asked
}

/// A distribution of the same form and relative width.
fn scaled(lengths: Lengths, factor: f64) -> Lengths {
    let tokens = |tokens: u32| (f64::from(tokens) * factor).round().max(1.0) as u32;
    match lengths {
        Lengths::Fixed(fixed) => Lengths::Fixed(tokens(fixed)),
        Lengths::Uniform(low, high) => Lengths::Uniform(tokens(low), tokens(high)),
        Lengths::Normal(mean, deviation) => Lengths::Normal((mean * factor).max(1.0), deviation * factor),
        Lengths::LogNormal(median, sigma) => Lengths::LogNormal((median * factor).max(1.0), sigma),
    }
}

/// The splits that may win, out of `plans`, the best of which are first.
fn contenders(plans: &[SplitPlan]) -> Vec<&SplitPlan> {
    let aggregated = plans.iter().position(SplitPlan::is_aggregated);
    let others = (0..plans.len()).filter(|index| Some(*index) != aggregated).take(SPLITS - 1);
    let mut chosen: Vec<usize> = others.chain(aggregated).collect();
    chosen.sort_unstable();
    chosen.into_iter().filter_map(|index| plans.get(index)).collect()
}

/// What comes of `variation`: the values of the four quantities, and who wins. No outcome where the cluster cannot serve that.
pub(super) fn outcome(
    question: &Question,
    world: &World<'_>,
    plans: &[SplitPlan],
    variation: Variation,
) -> ([f64; 4], Option<Outcome>) {
    let asked = asked(question, variation);
    // The question itself could be asked: it is the change that the cluster cannot serve.
    let Ok(loads) = Stretch::of_draws(&asked, world.cluster.limits(), &world.cluster.config) else {
        return ([f64::NAN; 4], None);
    };
    let (isl, osl) = loads.first().map_or((0.0, 0.0), |load| load.first().mean_lengths());
    let values = [isl, osl, asked.load.prefix_hit.share(), asked.rate.unwrap_or(f64::NAN)];
    let tables = world.tables.first().map(Arc::clone).into_iter().collect();
    let world = World { loads, tables, ..*world };
    let of = |plan: &SplitPlan| {
        let setting = Setting { split: plan.roles, chunk: plan.chunk };
        splits::at_best(&world, setting, 0, asked.rate, plan.offered_rps).goodput_rps / f64::from(plan.gpus)
    };
    let found: Vec<_> = contenders(plans).into_iter().map(|plan| (plan, of(plan))).collect();
    let best = found.iter().filter(|(_, worth)| *worth > 0.0).max_by(|a, b| a.1.total_cmp(&b.1));
    let most = |is: fn(&SplitPlan) -> bool| {
        found.iter().filter(|(plan, worth)| is(plan) && *worth > 0.0).map(|(_, worth)| *worth).reduce(f64::max)
    };
    let pair = most(SplitPlan::is_disaggregated).zip(most(SplitPlan::is_aggregated));
    let outcome = Outcome {
        best: best.map(|(plan, _)| plan.split.clone()),
        goodput_per_gpu: best.map_or(0.0, |(_, worth)| *worth),
        pd_over_aggregated: pair.map(|(pd, aggregated)| pd / aggregated),
    };
    (values, Some(outcome))
}

/// Puts the outcomes of `variations`, of which the first is the load as it is, side by side.
pub(super) fn sensitivity(variations: &[Variation], outcomes: Vec<([f64; 4], Option<Outcome>)>) -> Option<Sensitivity> {
    let mut outcomes = outcomes.into_iter();
    let (values, base) = outcomes.next()?;
    let changes = variations.iter().skip(1).zip(outcomes).filter_map(|(variation, (_, outcome))| {
        let (what, factor, value) = match *variation {
            Variation::AsAsked => return None,
            Variation::Times(what, factor) => (what, Some(factor), values[what as usize] * factor),
            Variation::Becomes(hit) => (Quantity::PrefixHit, None, hit.share()),
        };
        Some(Change { what, factor, value, outcome })
    });
    Some(Sensitivity { base: base?, changes: changes.collect(), values })
}

impl Sensitivity {
    /// Where disaggregated and aggregated give the same for each GPU, between two values of a quantity that were tried: that
    /// value, and whether it is the disaggregated one that wins above it.
    pub(super) fn flips(&self) -> Vec<(Quantity, f64, bool)> {
        let mut flips = Vec::new();
        for what in [Quantity::Isl, Quantity::Osl, Quantity::PrefixHit, Quantity::Rate] {
            let base = (self.values[what as usize], self.base.pd_over_aggregated);
            let of_changes = self.changes.iter().filter(|change| change.what == what);
            let tried = of_changes
                .map(|change| (change.value, change.outcome.as_ref().and_then(|outcome| outcome.pd_over_aggregated)));
            let mut points: Vec<(f64, f64)> =
                tried.chain([base]).filter_map(|(value, ratio)| Some((value, ratio?.ln()))).collect();
            points.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            for pair in points.windows(2) {
                let [(low, before), (high, after)] = pair else { continue };
                if (*before < 0.0) != (*after < 0.0) && before.is_finite() && after.is_finite() {
                    // On a straight line between the two ratios' logarithms.
                    let way = before / (before - after);
                    flips.push((what, low + (high - low) * way, *after >= 0.0));
                }
            }
        }
        flips
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Isl => "prompts",
            Self::Osl => "answers",
            Self::PrefixHit => "cached share of prompts",
            Self::Rate => "rate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(best: &str, goodput_per_gpu: f64, ratio: f64) -> Outcome {
        Outcome { best: Some(best.to_owned()), goodput_per_gpu, pd_over_aggregated: Some(ratio) }
    }

    #[test]
    fn a_flip_is_where_the_ratio_is_one_between_two_that_were_tried() {
        let variations =
            [Variation::AsAsked, Variation::Times(Quantity::Osl, 0.5), Variation::Times(Quantity::Osl, 2.0)];
        let values = [16_000.0, 1_000.0, 0.0, f64::NAN];
        let outcomes = [outcome("2P1D", 0.1, 1.5), outcome("3A", 0.2, 1.0 / 1.5), outcome("2P1D", 0.05, 1.8)]
            .map(|outcome| (values, Some(outcome)));
        let sensitivity = sensitivity(&variations, outcomes.to_vec()).expect("an answer");
        assert_eq!(sensitivity.changes.len(), 2);
        let [(Quantity::Osl, at, true)] = sensitivity.flips()[..] else { unreachable!("{:?}", sensitivity.flips()) };
        assert!((at - 750.0).abs() < 1e-6, "{at}");
    }

    #[test]
    fn distributions_keep_their_form() {
        for (from, to) in [
            ("16000", "32000"),
            ("uniform:1..9", "uniform:2..18"),
            ("normal:100,20", "normal:200,40"),
            ("lognormal:50,0.4", "lognormal:100,0.4"),
        ] {
            assert_eq!(scaled(from.parse().expect("lengths"), 2.0).to_string(), to);
        }
        assert_eq!(scaled(Lengths::Fixed(1), 0.5), Lengths::Fixed(1));
    }
}
