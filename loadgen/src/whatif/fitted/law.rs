//! What everything takes by all that was seen, how sure that is, and in words.

use std::sync::Arc;

use engine::cluster::{BatchLimits, ClusterConfig, FirstToken};
use engine::executor::sim::{Affine, AffineSeconds, Timing};
use engine::model::counter;

use super::Eras;
use super::seen::Sights;
use super::solve::{Solved, solve};
use super::stretches::{HAND_OFF, STEP_NAMES, STEPS, Stretch, Stretches};
use crate::plan::constants::normal;
use crate::time::Micros;

/// Requests below which nothing is fitted.
const FEWEST: usize = 30;
/// Draws besides the fit itself.
const DRAWS: u64 = 8;
/// Tells what is drawn here from all else that a seed decides; the same in every run, so that a prediction depends on the traffic alone.
const STREAM: u64 = 0x6669_7474_6564_206c;
/// What part of the deviation of single stretches may lie in the form of the law and not in chance: that does not cancel out.
const FORM: f64 = 1.0 / 3.0;
/// How far steps that mix prompts with answers may be from the sum of both where none was seen: the logarithm of a factor.
const MIXED: f64 = 0.2;
/// Where no hand-off was seen, the time of one relative to that of computing its prompt, and how far off that may be.
const UNSEEN: (f64, f64) = (0.1, 1.0);

/// How much of the time that a first token takes whatever the length of its prompt may lie outside of the units: a logarithm.
const OUTSIDE: f64 = 0.5;

/// Where nobody tells: prompt tokens and sequences of a step, tokens of a KV block, and blocks of a unit, four million tokens.
const UNTOLD_TOKENS: u32 = 2_048;
const UNTOLD_SEQUENCES: u32 = 256;
const UNTOLD_BLOCK: u32 = 16;
const UNTOLD_BLOCKS: u32 = 1 << 18;

/// As many costs are named that cannot be told apart; of more their number is enough.
const NAMED: usize = 2;

/// What is known of units beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitTerms {
    /// What the cluster may do in a step, and the KV of its units.
    pub config: ClusterConfig,
    /// What of it nobody told, in one line.
    pub assumed: Option<String>,
}

impl UnitTerms {
    /// Of units that nobody tells anything of but their roles: with steps as many servers have them, and more KV than they will need.
    pub fn untold(context_tokens: u32) -> Self {
        let batch = BatchLimits { tokens: UNTOLD_TOKENS, sequences: UNTOLD_SEQUENCES };
        let config = ClusterConfig {
            block_tokens: UNTOLD_BLOCK,
            blocks_per_unit: UNTOLD_BLOCKS.max(context_tokens.div_ceil(UNTOLD_BLOCK)),
            max_context: context_tokens,
            prefill: batch,
            decode: BatchLimits { tokens: UNTOLD_SEQUENCES, ..batch },
            aggregated: batch,
            watermark_permille: 10,
            prefix_cache: false,
            first_token: FirstToken::AfterHandOff,
            drain_timeout: None,
        };
        let steps = format!("{UNTOLD_TOKENS} prompt tokens or {UNTOLD_SEQUENCES} sequences");
        let assumed = format!("steps of at most {steps}, and KV that never runs short: the target does not tell");
        Self { config, assumed: Some(assumed) }
    }
}

/// How good a fit is, and what it does not know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fit {
    /// Requests that it rests on.
    pub requests: usize,
    /// How far back they go.
    pub window: Micros,
    /// Standard deviation of what was observed from what is fitted, as a share.
    pub residual: f64,
    /// Costs that cannot be told apart from others.
    pub unsure: Vec<&'static str>,
    /// Sequences that shared a unit while its steps were observed, from the fewest to the most.
    pub batches: (f64, f64),
    /// What is assumed, a line each.
    pub assumed: Vec<String>,
}

impl Fit {
    /// What makes ranges wide, in one line; `None` when all costs can be told apart.
    pub fn doubt(&self) -> Option<String> {
        let (least, most) = self.batches;
        let shared = format!("{least:.1} to {most:.1} sequences shared a unit");
        match &self.unsure[..] {
            [] => None,
            costs if costs.len() <= NAMED => Some(format!("not told apart yet: {}; {shared}", costs.join(", "))),
            costs => Some(format!("{} costs of steps are not told apart yet; {shared}", costs.len())),
        }
    }
}

/// A fit.
#[derive(Clone, Debug)]
pub(in crate::whatif) struct Law {
    steps: Solved<STEPS>,
    hand_off: Option<Solved<HAND_OFF>>,
    /// Of prompts and of answers, all of their time over what the fit makes of it: what takes longer by chance counts little when
    /// costs are told apart, but it does take longer.
    longer: (f64, f64),
    /// Whether steps of prompts alone, and such that mix, were seen.
    prompts_alone: bool,
    mixed: bool,
    /// Prompts are known by their first tokens alone, so that what they took holds a hand-off.
    first_tokens: bool,
    /// Half of the requests took more than so beside the engine.
    pub(in crate::whatif) outside: Micros,
    pub(in crate::whatif) config: ClusterConfig,
    pub(in crate::whatif) fit: Fit,
}

impl Law {
    /// Fits to `sights` of units with such limits.
    ///
    /// # Errors
    /// One line: what is missing.
    pub(in crate::whatif) fn of(sights: &Sights, terms: &UnitTerms) -> Result<Self, String> {
        let mut outside: Vec<Micros> = sights.requests().filter_map(|seen| seen.outside).collect();
        outside.sort_unstable();
        let over = sights.requests().count();
        if over >= FEWEST && sights.requests().all(|seen| seen.prompt.is_none() || seen.decode_unit.is_none()) {
            return Err("the target does not tell which unit served a request, and when".to_owned());
        }
        Self::from(&Stretches::of(sights, terms), &outside, sights, (terms, false))
    }

    /// The same for a target that tells neither units nor stages, while these splits served.
    ///
    /// # Errors
    /// One line: what is missing.
    pub(in crate::whatif) fn of_requests(sights: &Sights, eras: &Eras, terms: &UnitTerms) -> Result<Self, String> {
        let mut lags: Vec<Micros> = sights.requests().filter_map(|seen| Some(seen.sent?.since(seen.due))).collect();
        lags.sort_unstable();
        let mut all = Stretches::untold(sights, eras, terms);
        let first_tokens = std::mem::take(&mut all.handed_off);
        let mut law = Self::from(&all, &lags, sights, (terms, first_tokens))?;
        law.fit
            .assumed
            .push("requests are spread evenly over units, and a prompt waits only where all units have one".to_owned());
        Ok(law)
    }

    /// `outside` are in order. With `first_tokens`, prompts are known by these alone.
    fn from(
        all: &Stretches,
        outside: &[Micros],
        sights: &Sights,
        (terms, first_tokens): (&UnitTerms, bool),
    ) -> Result<Self, String> {
        let mixed = all.answers.iter().filter(|stretch| stretch.parts[1] > 0.0).count();
        let prompted = all.prompted.max(if all.alone { mixed } else { 0 });
        for (count, of_what) in [(all.answered, "answers of six tokens or more"), (prompted, "prompts")] {
            if count < FEWEST {
                return Err(format!("not enough seen yet: the steps of {count} {of_what}, {FEWEST} are needed"));
            }
        }
        let joint: Vec<_> = all.prompts.iter().chain(&all.answers).copied().collect();
        let steps = solve(&joint).ok_or("not enough seen yet: no step")?;
        let hand_off = solve(&all.hand_offs);
        if all.handed_off && hand_off.is_none() {
            return Err("not enough seen yet: no hand-off with its times".to_owned());
        }
        let mut config = terms.config.clone();
        config.prefix_cache &= sights.requests().any(|seen| seen.queried);
        let batch = |of: fn(f64, f64) -> f64, start| {
            all.answers.iter().map(|piece| piece.parts[4] / piece.parts[3]).fold(start, of)
        };
        let longer = (longer(&all.prompts, &steps), longer(&all.answers, &steps));
        let mut law = Self {
            longer: if all.prompts.is_empty() { (longer.1, longer.1) } else { longer },
            prompts_alone: all.prompts.iter().any(|stretch| stretch.parts[0] > 0.0),
            mixed: mixed > 0,
            first_tokens,
            outside: outside.get(outside.len() / 2).copied().unwrap_or_default(),
            config,
            fit: Fit {
                requests: all.answered.max(all.prompted),
                window: sights.until.since(all.from),
                residual: steps.residual,
                unsure: steps.unsure.iter().map(|&at| STEP_NAMES[at]).collect(),
                batches: (batch(f64::min, f64::INFINITY), batch(f64::max, 0.0)),
                assumed: terms.assumed.iter().cloned().collect(),
            },
            steps,
            hand_off,
        };
        law.assume();
        Ok(law)
    }

    fn assume(&mut self) {
        let mut assume = |line: &str| self.fit.assumed.push(line.to_owned());
        if !self.prompts_alone {
            assume("a step of prompts alone was not seen: it takes what a step of answers does");
        }
        if !self.mixed {
            assume("a step that mixes prompts and answers was not seen: it takes what both do");
        }
        if self.first_tokens {
            assume(
                "a hand-off, and the way there and back, are not told apart from the prompt before: a tenth of it, or a third, or a \
                 thirtieth",
            );
        } else if self.hand_off.is_none() {
            assume("a hand-off was not seen: it takes a tenth of what its prompt does, or a third, or a thirtieth");
        }
    }

    /// The fit itself, then draws of what it leaves open.
    pub(in crate::whatif) fn timings(&self) -> Vec<Arc<dyn Timing + Send + Sync>> {
        (0..=DRAWS).map(|draw| Arc::new(Affine::from(self.seconds(draw))) as Arc<dyn Timing + Send + Sync>).collect()
    }

    /// What everything takes; of a draw other than 0 as it might be.
    pub(in crate::whatif) fn seconds(&self, draw: u64) -> AffineSeconds {
        let key = counter::stream(STREAM, draw);
        let mut number = 0;
        let mut chance = || {
            number += 1;
            if draw == 0 { 0.0 } else { normal(key, number) }
        };
        let form = FORM * self.steps.residual;
        let prompts = self.longer.0 * (form * chance()).exp();
        let answers = self.longer.1 * (form * chance()).exp();
        let beside = if self.mixed { 1.0 } else { (MIXED * chance()).exp() };
        let unseen = UNSEEN.0 * (UNSEEN.1 * chance()).exp();
        let costs = if draw == 0 { self.steps.seconds() } else { self.steps.draw(&mut chance) };
        let [prompt_step, token, pair, step, sequence, position] = costs;
        let prompt_step = if self.prompts_alone { prompt_step } else { step };
        let [hand_off, hand_off_token] = match &self.hand_off {
            None => [0.0, unseen * token],
            Some(solved) if draw == 0 => solved.seconds(),
            Some(solved) => solved.draw(&mut chance),
        };
        let (prompt_step, token, hand_off, hand_off_token) = if self.first_tokens {
            // Of a first token a part lies behind the prompt, and of what does not depend on its length more, outside of units.
            let (kept, behind) = (1.0 / (1.0 + unseen), unseen / (1.0 + unseen));
            let within = if draw == 0 { 1.0 } else { (-OUTSIDE * chance().abs()).exp() };
            let all = prompt_step * prompts;
            (prompt_step * kept * within, token * kept, all * (1.0 - kept * within), token * prompts * behind)
        } else {
            (prompt_step, token, hand_off, hand_off_token)
        };
        AffineSeconds {
            prompt_step: prompt_step * prompts,
            prompt_token: token * prompts,
            beside_token: token * prompts * beside,
            pair: pair * prompts,
            step: step * answers,
            sequence: sequence * answers,
            position: position * answers,
            hand_off,
            hand_off_token,
            switch: 0.0,
            warm: 0.0,
        }
    }
}

/// All of the time of some stretches over what a fit makes of it.
fn longer(stretches: &[Stretch<STEPS>], fit: &Solved<STEPS>) -> f64 {
    let costs = fit.seconds();
    let fitted =
        |stretch: &Stretch<STEPS>| stretch.parts.iter().zip(&costs).map(|(part, cost)| part * cost).sum::<f64>();
    let all: f64 = stretches.iter().map(|stretch| stretch.weight * stretch.seconds).sum();
    let ours: f64 = stretches.iter().map(|stretch| stretch.weight * fitted(stretch)).sum();
    if ours > 0.0 { all / ours } else { 1.0 }
}
