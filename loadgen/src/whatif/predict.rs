//! Predictions: observed traffic, under every split.

use std::sync::Arc;

use engine::cluster::{Cluster as Scheduler, How};
use engine::units::{Role, Split};

use super::change::changes;
use super::cost::Moving;
use super::rows::{Pattern, Stretch};
use super::{Basis, Change, Grounds, Interval, Limit, MoveCost, Observed, candidates, moves};
use crate::plan::Procedure;
use crate::plan::figures::{Figures, Judge};
use crate::plan::rows::Rows;
use crate::plan::simulate::run;
use crate::slo::Slo;
use crate::time::Micros;

/// Simulated requests of a whole prediction, as far as the load allows: a few tenths of a second.
const BUDGET: usize = 40_000;
/// Requests of one simulation.
const ROWS: (usize, usize) = (150, 2_000);
/// Seconds of traffic that a simulation has at least, if that is not too many requests.
const SPAN: f64 = 30.0;
/// Most requests that seconds of traffic may ask for.
const MOST_ROWS: usize = 6_000;
/// Requests below which traffic says too little.
const FEWEST: usize = 20;
/// Attainment from which on nothing counts as limiting.
const MET: f64 = 0.9;
/// A split that gives this share of the best is as good, and moving is not worth while.
pub(super) const AS_GOOD: f64 = 0.98;
/// Seconds of traffic before a shift is simulated, and again behind it.
const SHIFT_SPAN: f64 = 40.0;
/// Requests of the simulation of a restart, which takes minutes.
const RESTART_ROWS: usize = 20_000;
/// Units from which on moves are simulated only where one unit moves, and to the best.
const MANY: usize = 12;

/// What is asked.
#[derive(Debug)]
pub struct Asked<'a> {
    /// What was observed.
    pub traffic: &'a Observed,
    /// What is known of the cluster.
    pub basis: &'a Basis,
    /// What makes a request good.
    pub slo: Slo,
    /// The split that serves.
    pub now: Split,
}

/// What one split would give.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitPrediction {
    /// The split.
    pub split: Split,
    /// Good requests per second.
    pub goodput_rps: Interval,
    /// Good requests per second more than in the split that serves, a draw at a time: chances that both share cancel out.
    pub gain_rps: Interval,
    /// Good over offered requests.
    pub attainment: Interval,
    /// 95th percentile of TTFT in milliseconds.
    pub ttft_p95_ms: Option<f64>,
    /// 95th percentile of TPOT in milliseconds.
    pub tpot_p95_ms: Option<f64>,
    /// What limits.
    pub limit: Limit,
    /// Units that would change their role.
    pub moves: u16,
    /// What getting there takes, by draining, by migrating and, where units can and that is not too much to simulate, by
    /// restarting; empty for the split that serves and where it was not asked.
    pub costs: Vec<MoveCost>,
}

/// What every split would give under one stretch of traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct WhatIf {
    /// The end of the traffic.
    pub at: Micros,
    /// Its length.
    pub window: Micros,
    /// Its requests.
    pub requests: usize,
    /// Its requests per second.
    pub rate_rps: f64,
    /// Tokens of its answers on average.
    pub answer_tokens: f64,
    /// What makes a request good.
    pub slo: Slo,
    /// The split that serves.
    pub now: Split,
    /// Every split of the units, those with the most prefill units first.
    pub splits: Vec<SplitPrediction>,
    /// Splits that one unit leads to and that mix units which do both with others: the shift dialog offers them.
    pub mixed: Vec<SplitPrediction>,
    /// What would be best under other traffic.
    pub changes: Vec<Change>,
    /// How the times of steps are known.
    pub grounds: Grounds,
    /// How many draws the intervals are the range of.
    pub draws: usize,
}

impl WhatIf {
    /// What `split` would give.
    pub fn of(&self, split: Split) -> Option<&SplitPrediction> {
        self.splits.iter().chain(&self.mixed).find(|prediction| prediction.split == split)
    }

    /// The split to be in: the one that serves unless another gives clearly more.
    pub fn best(&self) -> Option<&SplitPrediction> {
        let goodput = |prediction: &&SplitPrediction| prediction.goodput_rps.mid;
        let most = self.splits.iter().max_by(|a, b| goodput(a).total_cmp(&goodput(b)))?;
        let enough = goodput(&most) * AS_GOOD;
        let as_good = self.splits.iter().filter(|prediction| goodput(prediction) >= enough);
        // Of equals the nearest; of those the one with the most to spare.
        as_good.min_by(|a, b| a.moves.cmp(&b.moves).then(goodput(b).total_cmp(&goodput(a))))
    }
}

/// What every split of the units would give. `stop` is asked between simulations.
///
/// # Errors
/// One line: why nothing can be said.
pub fn predict(asked: &Asked<'_>, stop: &dyn Fn() -> bool) -> Result<WhatIf, String> {
    let Asked { traffic, basis, slo, now } = asked;
    let pattern = Pattern::new(traffic);
    if pattern.len() < FEWEST {
        return Err(format!("{} of {FEWEST} requests that a prediction needs", pattern.len()));
    }
    let rate = pattern.rate_rps();
    let splits = candidates(*now);
    let mixed = mixed(*now, &splits);
    let Shape { rows, draws } = Shape::of(splits.len() + mixed.len(), basis.timings.len(), rate);
    let loads: Vec<Arc<Rows>> =
        (0..draws).map(|draw| pattern.rows(&basis.config, rows, draw as u64, Stretch::NONE)).collect();
    // What passes beside the cluster is taken from what it has.
    let inside = within(*slo, basis.outside);
    let judge = Judge { slo: inside, procedure: Procedure::Sustained };
    let stopped = || "stopped".to_owned();
    let figures = |splits: &[Split]| -> Result<Vec<Vec<Figures>>, String> {
        splits
            .iter()
            .map(|&split| {
                let mut all = Vec::with_capacity(draws);
                for (timing, rows) in basis.timings.iter().zip(&loads) {
                    if stop() {
                        return Err(stopped());
                    }
                    // Units that failed may leave a split that serves nobody.
                    let nothing = Figures { offered_rps: rate, ..Figures::default() };
                    let scheduler = Scheduler::new(basis.config.clone(), split);
                    all.push(
                        scheduler.map_or(nothing, |scheduler| run(scheduler, Arc::clone(timing), rows, rate, judge)),
                    );
                }
                Ok(all)
            })
            .collect()
    };
    let (of_splits, of_mixed) = (figures(&splits)?, figures(&mixed)?);
    let base = splits.iter().position(|split| split == now).and_then(|place| of_splits.get(place));
    let base = base.cloned().unwrap_or_default();
    let predictions = |splits: &[Split], all: &[Vec<Figures>]| {
        let of = |(split, all): (&Split, &Vec<Figures>)| prediction(*split, *now, all, &base);
        splits
            .iter()
            .zip(all)
            .map(of)
            .map(|of| SplitPrediction {
                ttft_p95_ms: of.ttft_p95_ms.map(|ttft| ttft + basis.outside.as_millis_f64()),
                ..of
            })
            .collect()
    };
    let mut answer = WhatIf {
        at: traffic.to,
        window: traffic.length(),
        requests: pattern.len(),
        rate_rps: rate,
        answer_tokens: pattern.mean_answer(),
        slo: *slo,
        now: *now,
        splits: predictions(&splits, &of_splits),
        mixed: predictions(&mixed, &of_mixed),
        changes: Vec::new(),
        grounds: basis.grounds.clone(),
        draws,
    };
    answer.changes = changes(basis, &pattern, &answer.splits, inside, stop).ok_or_else(stopped)?;
    costs(&mut answer, basis, &pattern, inside, stop)?;
    Ok(answer)
}

/// How much is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Requests of each simulation.
    rows: usize,
    /// Draws for each split.
    draws: usize,
}

impl Shape {
    fn of(splits: usize, timings: usize, rate: f64) -> Self {
        let share = |draws: usize| BUDGET / (splits * draws).max(1);
        let needed = ((rate * SPAN) as usize).min(MOST_ROWS);
        let rows = share(timings).clamp(ROWS.0, ROWS.1).max(needed);
        // Where steady state takes more requests than there is time for, the interval is told from fewer draws.
        let draws = (BUDGET / (splits * rows).max(1)).clamp(timings.min(3), timings);
        Self { rows, draws }
    }
}

/// The bounds that are left inside of a cluster.
fn within(slo: Slo, outside: Micros) -> Slo {
    let less = |bound: Option<Micros>| bound.map(|bound| bound.since(outside));
    Slo { ttft: less(slo.ttft), e2e: less(slo.e2e), ..slo }
}

fn mixed(now: Split, listed: &[Split]) -> Vec<Split> {
    let roles = [Role::Prefill, Role::Decode, Role::Aggregated];
    let mut found = Vec::new();
    for from in roles {
        for to in roles {
            let mut split = now;
            let count = |split: &mut Split, role: Role, by: i32| {
                let of = match role {
                    Role::Prefill => &mut split.prefill,
                    Role::Decode => &mut split.decode,
                    Role::Aggregated => &mut split.aggregated,
                };
                *of = of.saturating_add_signed(by as i16);
            };
            if from == to || now.count(from) == 0 {
                continue;
            }
            count(&mut split, from, -1);
            count(&mut split, to, 1);
            if split.check().is_ok() && !listed.contains(&split) && !found.contains(&split) {
                found.push(split);
            }
        }
    }
    found
}

fn prediction(split: Split, now: Split, all: &[Figures], base: &[Figures]) -> SplitPrediction {
    let interval = |of: fn(&Figures) -> f64| Interval::of(&all.iter().map(of).collect::<Vec<_>>());
    let middle = all.first().copied().unwrap_or_default();
    let is_met = middle.is_steady && middle.attainment >= MET;
    SplitPrediction {
        split,
        goodput_rps: interval(|figures| figures.goodput_rps),
        gain_rps: Interval::of(
            &all.iter().zip(base).map(|(here, now)| here.goodput_rps - now.goodput_rps).collect::<Vec<_>>(),
        ),
        attainment: interval(|figures| figures.goodput_rps / figures.offered_rps),
        ttft_p95_ms: middle.ttft.p95,
        tpot_p95_ms: middle.tpot.p95,
        limit: if is_met { Limit::None } else { middle.limit },
        moves: moves(now, split),
        costs: Vec::new(),
    }
}

/// Adds what the moves take.
fn costs(
    answer: &mut WhatIf,
    basis: &Basis,
    pattern: &Pattern,
    slo: Slo,
    stop: &dyn Fn() -> bool,
) -> Result<(), String> {
    let (rate, now) = (answer.rate_rps, answer.now);
    // Behind a restart traffic goes on for as long again, so that what piled up meanwhile counts.
    let moving = |how: How| {
        let (span, most) = match how {
            How::Drain | How::Migrate => (SHIFT_SPAN * 2.0, MOST_ROWS),
            How::Restart => (SHIFT_SPAN * 2.0 + 2.0 * basis.restart_seconds()?, RESTART_ROWS),
        };
        let rows = ((rate * span) as usize).clamp(40, most);
        let before = match how {
            How::Drain | How::Migrate => rows / 2,
            How::Restart => ((rate * SHIFT_SPAN) as usize).min(rows / 2),
        };
        let rows = pattern.rows(&basis.config, rows, 0, Stretch::NONE);
        Moving::new(basis, (rows, before), rate, slo, now)
    };
    let Some(in_place) = moving(How::Drain) else { return Ok(()) };
    let anew = moving(How::Restart);
    let best = answer.best().map(|best| best.split);
    let many = answer.splits.len() > MANY;
    for prediction in answer.splits.iter_mut().chain(&mut answer.mixed) {
        if prediction.moves == 0 || (many && prediction.moves > 1 && Some(prediction.split) != best) {
            continue;
        }
        // Minutes of traffic are simulated only where one unit moves, and to the best.
        let anew = anew.as_ref().filter(|_| prediction.moves == 1 || Some(prediction.split) == best);
        for (how, moving) in [(How::Drain, Some(&in_place)), (How::Migrate, Some(&in_place)), (How::Restart, anew)] {
            if stop() {
                return Err("stopped".to_owned());
            }
            // Only who becomes a unit that prefills and no more stops decoding. Where nobody does, nothing is there to migrate:
            // that is to drain.
            let is_draining = how == How::Migrate && prediction.split.prefill <= now.prefill;
            let drained = prediction.costs.first().filter(|_| is_draining).map(|drained| MoveCost { how, ..*drained });
            let cost = drained.or_else(|| moving.and_then(|moving| moving.cost(prediction.split, how)));
            prediction.costs.extend(cost);
        }
    }
    Ok(())
}
