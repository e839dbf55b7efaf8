//! A whole step.
//!
//! `layers × (projections + attention + network + exchange + fixed) + output head + overhead`, on the busiest group of the
//! unit. A step that mixes prompts with decodes is one pass over the tokens of both, with both kinds of attention, and some
//! factor that such steps have been seen to take longer by.

use super::Site;
use super::attention::RankAttention;
use super::constants::{Constant, Phase};
use super::deployment::Deployment;
use super::dtype::Dtype;
use super::ffn::Unit;
use super::model::Ffn;

/// What a step computes, as far as its time depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepShape {
    /// Sequences that decode one token.
    pub decodes: u32,
    /// The sum of their contexts, in positions.
    pub decode_context: u64,
    /// Prompt tokens of all sequences.
    pub prompt_tokens: u64,
    /// Pairs of positions that prompts attend to: the sum of `S·(C + S/2)` over chunks of `S` tokens after `C` cached ones.
    pub prompt_pairs: f64,
    /// Sequences whose next token is sampled: decodes, and prompts that end here.
    pub sampled: u32,
}

impl StepShape {
    /// A step that decodes one token of each of `decodes` sequences.
    pub fn decode(decodes: u32, decode_context: u64) -> Self {
        Self { decodes, decode_context, sampled: decodes, ..Self::default() }
    }

    /// The step with a chunk of `new` prompt tokens after `cached` positions more.
    #[must_use]
    pub fn with_prompt(mut self, cached: u64, new: u64, ends: bool) -> Self {
        self.prompt_tokens += new;
        self.prompt_pairs += new as f64 * (cached as f64 + new as f64 / 2.0);
        self.sampled += u32::from(ends);
        self
    }
}

/// Seconds that grow with the sum of contexts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Seconds without any context.
    pub base_s: f64,
    /// Seconds for each position.
    pub per_position_s: f64,
}

impl Line {
    /// Seconds at a sum of contexts.
    pub fn at(self, positions: u64) -> f64 {
        self.base_s + self.per_position_s * positions as f64
    }
}

impl Deployment {
    /// Seconds of a step; none for a step without tokens.
    pub fn step_seconds(&self, shape: &StepShape) -> f64 {
        if shape.prompt_tokens == 0 {
            return self.decode(shape.decodes, shape.sampled).at(shape.decode_context);
        }
        let parts = self.parts();
        let groups = f64::from(parts.parallel.attention_dp);
        let attention = self.attention(Phase::Prompt);
        let tokens = shape.prompt_tokens as f64;
        let full = attention.prompts(shape.prompt_pairs / groups);
        let window = parts.model.window.map_or(0.0, |window| {
            let pairs = shape.prompt_pairs.min(tokens * f64::from(window.positions));
            f64::from(window.layers) * attention.prompts(pairs / groups)
        });
        let pass = self.without_context(Phase::Prompt, shape.decodes, tokens, shape.sampled)
            + f64::from(parts.model.full_layers()) * full
            + window;
        let factor = self.step_factor(Phase::Prompt);
        if shape.decodes == 0 {
            return pass * factor;
        }
        let decodes = self.contexts(Phase::Prompt, shape.decodes).at(shape.decode_context);
        (pass + decodes) * self.values(Phase::Prompt).get(Constant::MixedFactor) * factor
    }

    /// The seconds of steps that decode one token of each of `decodes` sequences, over the sum of their contexts.
    ///
    /// It is what [`Self::step_seconds`] says of such steps, exactly and for every sum: no part of decode bends with context.
    pub fn decode_line(&self, decodes: u32) -> Line {
        self.decode(decodes, decodes)
    }

    fn decode(&self, decodes: u32, sampled: u32) -> Line {
        if decodes == 0 {
            return Line { base_s: 0.0, per_position_s: 0.0 };
        }
        let contexts = self.contexts(Phase::Decode, decodes);
        let base_s = contexts.base_s + self.without_context(Phase::Decode, decodes, 0.0, sampled);
        let factor = self.step_factor(Phase::Decode);
        Line { base_s: base_s * factor, per_position_s: contexts.per_position_s * factor }
    }

    /// Decode attention of all layers.
    fn contexts(&self, phase: Phase, decodes: u32) -> Line {
        let parts = self.parts();
        let attention = self.attention(phase);
        let busiest = f64::from(decodes.div_ceil(parts.parallel.attention_dp));
        let per_position = attention.per_position();
        let window = parts.model.window.map_or(0.0, |window| f64::from(window.layers) * f64::from(window.positions));
        Line {
            base_s: f64::from(parts.model.layers) * attention.decode_floor() + window * busiest * per_position,
            per_position_s: f64::from(parts.model.full_layers()) * per_position * busiest / f64::from(decodes),
        }
    }

    /// Everything but attention over contexts and prompts.
    fn without_context(&self, phase: Phase, decodes: u32, prompts: f64, sampled: u32) -> f64 {
        let parts = self.parts();
        let (model, precision, parallel) = (&parts.model, parts.precision, parts.parallel);
        let (site, hidden, tp) = (self.site(phase), f64::from(model.hidden), f64::from(parallel.tp));
        let groups = f64::from(parallel.attention_dp);
        let of_group = f64::from(decodes.div_ceil(parallel.attention_dp));
        let (group, unit) = (of_group + prompts / groups, f64::from(decodes) + prompts);
        let bf16 = Dtype::Bf16.bytes();
        let reduce = site.all_reduce(parallel.tp, bf16 * group * hidden);

        // Norms, rotation, activation and residuals read or write a hidden state about ten times.
        let fixed = site.values.get(Constant::LayerFloor) + site.elementwise(10.0 * bf16 * group * hidden);
        let attention = self.attention(phase).projections(of_group, prompts / groups) + reduce;
        let layers = f64::from(model.layers) * (fixed + attention);

        let networks = match model.ffn {
            Ffn::Dense { inner } => {
                f64::from(model.layers) * (site.dense(precision, group, model.hidden, f64::from(inner) / tp) + reduce)
            }
            Ffn::Experts(experts) => {
                let routed = site.experts(model, experts, Unit { parallel, precision }, unit)
                    + site.dense(precision, group, model.hidden, f64::from(experts.shared_inner) / tp);
                let exchange = if parallel.attention_dp == 1 {
                    reduce
                } else if parallel.ep > 1 {
                    site.all_to_all(model, experts, precision, parallel, group / tp)
                } else {
                    site.all_reduce(parallel.gpus(), bf16 * unit * hidden)
                };
                let dense = site.dense(precision, group, model.hidden, f64::from(experts.dense_inner) / tp) + reduce;
                f64::from(model.expert_layers()) * (routed + exchange) + f64::from(experts.dense_layers) * dense
            }
        };
        let rows = f64::from(sampled.div_ceil(parallel.attention_dp));
        let head = site.gemm(Dtype::Bf16, rows, f64::from(model.vocab) / tp, hidden);
        let outside =
            site.values.get(Constant::StepOverhead) + site.values.get(Constant::SequenceOverhead) * f64::from(sampled);
        layers + networks + head + outside
    }

    fn site(&self, phase: Phase) -> Site<'_> {
        Site { gpu: &self.parts().gpu, values: self.values(phase) }
    }

    fn attention(&self, phase: Phase) -> RankAttention<'_> {
        let parts = self.parts();
        RankAttention { site: self.site(phase), model: &parts.model, precision: parts.precision, tp: parts.parallel.tp }
    }
}
