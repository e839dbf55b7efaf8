//! All splits of so many units, and what one of them gives.

use engine::units::{Role, Split};

use super::figures::{Figures, Limit};
use super::search::highest_rate;
use super::simulate::{Setting, World};
use super::{Interval, Procedure, SplitPlan};

/// Tokens of a step that aggregated units are tried with, as far as the profile allows.
const CHUNKS: [u32; 6] = [512, 1024, 2048, 4096, 8192, 16_384];
/// Copies of a split that are tried to serve a rate.
const COPIES: u32 = 64;
/// Requests per second beyond which no cluster is asked.
const MOST_RATE: f64 = 1e5;
/// By how much a rate is exceeded to see what gives way first.
const BEYOND: f64 = 1.1;

/// Every split of `units` units: from one unit that prefills to all but one, then all aggregated.
pub fn candidates(units: u16) -> Vec<Split> {
    let pairs = (1..units).map(|prefill| Split { prefill, decode: units - prefill, aggregated: 0 });
    pairs.chain([Split { prefill: 0, decode: 0, aggregated: units }]).collect()
}

/// What `split` gives at `rate`, or at the highest rate that meets the SLO.
pub(super) fn plan(world: &World<'_>, split: Split, rate: Option<f64>) -> SplitPlan {
    let setting = Setting { split, chunk: None };
    let settings = if split.count(Role::Aggregated) > 0 {
        let most = world.cluster.config.aggregated.tokens;
        // A step has to have room for all that decode, and for some of a prompt.
        let least = world.cluster.config.aggregated.sequences * 2;
        let chunks = CHUNKS.into_iter().filter(|chunk| (least..most).contains(chunk)).chain([most]);
        chunks.map(|chunk| Setting { chunk: Some(chunk), ..setting }).collect()
    } else {
        vec![setting]
    };
    let best = settings.into_iter().map(|setting| (setting, at_best(world, setting, 0, rate, 0.0)));
    // Of equals the last, with the longest chunk, wins: its prompts wait the least.
    let best = best
        .max_by(|(_, a), (_, b)| a.goodput_rps.total_cmp(&b.goodput_rps).then(a.attainment.total_cmp(&b.attainment)));
    let (setting, middle) = best.unwrap_or((setting, Figures::default()));
    let near = middle.offered_rps;
    let others = (1..world.tables.len()).map(|draw| at_best(world, setting, draw, rate, near));
    let all: Vec<Figures> = std::iter::once(middle).chain(others).collect();
    let interval = |of: fn(&Figures) -> f64| Interval::of(&all.iter().map(of).collect::<Vec<_>>());
    let gpus_per_unit = world.cluster.deployment.parts().parallel.gpus();
    let gpus = gpus_per_unit * u32::from(split.units());
    SplitPlan {
        split: split.to_string(),
        roles: split,
        gpus,
        chunk: setting.chunk,
        offered_rps: middle.offered_rps,
        goodput_rps: interval(|figures| figures.goodput_rps),
        attainment: interval(|figures| figures.attainment),
        ttft_ms: middle.ttft,
        tpot_ms: middle.tpot,
        limit: limit(world, setting, rate, &middle),
        is_bounded: rate.is_some() || middle.offered_rps < most_rate(world),
        is_settled: middle.doublings == 0 || middle.offered_rps <= 0.0,
        gpus_for_rate: rate.and_then(|rate| copies(world, setting, rate, &middle)).map(|copies| copies * gpus),
        usd_per_mtok: price(world, split, interval(|figures| figures.output_tps)),
        gpu_s_per_good: middle.unit_s_per_good.map(|seconds| seconds * f64::from(gpus_per_unit)),
        busy: middle.busy,
        prefix_hit: middle.prefix_hit,
    }
}

/// The figures at `rate`, or at the highest rate that meets the SLO, which is looked for from `near` on where that is known.
pub(super) fn at_best(world: &World<'_>, setting: Setting, draw: usize, rate: Option<f64>, near: f64) -> Figures {
    if let Some(rate) = rate {
        return world.figures(setting, draw, rate);
    }
    let start = if near > 0.0 { near } else { f64::from(setting.split.units()) };
    let mut highest = Figures::default();
    highest_rate(start, most_rate(world), |rate| {
        let figures = world.trial(setting, draw, rate);
        let met = world.is_met(&figures);
        if met && rate > highest.offered_rps {
            highest = figures;
        }
        met
    });
    highest
}

/// The rate beyond which is not looked.
pub(super) fn most_rate(world: &World<'_>) -> f64 {
    match world.procedure {
        Procedure::Sustained => MOST_RATE,
        // All in a second: whoever bears that bears any rate.
        Procedure::Burst(requests) => f64::from(requests),
    }
}

/// What gives way: at the rate asked about, or a little beyond the highest.
fn limit(world: &World<'_>, setting: Setting, rate: Option<f64>, middle: &Figures) -> Limit {
    match rate {
        Some(_) if world.is_met(middle) => Limit::None,
        Some(_) => middle.limit,
        None if middle.is_steady => world.trial(setting, 0, middle.offered_rps * BEYOND).limit,
        None => world.trial(setting, 0, 1e-3).limit,
    }
}

/// How many copies, each with its share of the load, meet the SLO at `rate`.
fn copies(world: &World<'_>, setting: Setting, rate: f64, alone: &Figures) -> Option<u32> {
    if world.is_met(alone) {
        return Some(1);
    }
    let meets = |copies: u32| world.is_met(&world.trial(setting, 0, rate / f64::from(copies)));
    let mut most = 2;
    while !meets(most) {
        most *= 2;
        if most > COPIES {
            return None;
        }
    }
    // Half as many have failed.
    let (mut failed, mut met) = (most / 2, most);
    while met - failed > 1 {
        let middle = failed.midpoint(met);
        if meets(middle) { met = middle } else { failed = middle }
    }
    Some(met)
}

/// US dollars for a million answer tokens.
fn price(world: &World<'_>, split: Split, output_tps: Interval) -> Interval {
    let price = world.cluster.price_per_unit_hour();
    let units = f64::from(split.units());
    let of = |usd_per_hour: f64, tps: f64| if tps > 0.0 { usd_per_hour * units / 3600.0 / tps * 1e6 } else { f64::NAN };
    Interval {
        lo: of(price.low, output_tps.hi),
        mid: of(f64::midpoint(price.low, price.high), output_tps.mid),
        hi: of(price.high, output_tps.lo),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_splits_of_four_units() {
        let names: Vec<_> = candidates(4).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["1P3D", "2P2D", "3P1D", "4A"]);
        assert_eq!(candidates(1).len(), 1);
    }
}
