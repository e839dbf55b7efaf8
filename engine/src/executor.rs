//! What computes steps. The boundary is the whole step: plain data in, tokens out.

pub mod cpu;
pub mod sim;

use std::ops::Range;

use crate::cluster::{StepPlan, Transfer};

/// How a token is chosen from logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampling {
    /// The largest logit; the smaller token id on a tie.
    Greedy,
    /// Top-p sampling, deterministic in `seed` and the index of the token in the answer.
    TopP {
        /// Above 0.
        temperature: f32,
        /// In 0..=1.
        top_p: f32,
        /// The request's seed.
        seed: u64,
    },
}

/// One step with the token ids that the plan leaves out.
#[derive(Clone, Copy, Debug)]
pub struct StepInput<'a> {
    /// The plan.
    pub plan: &'a StepPlan,
    /// The token ids of all planned positions, sequence after sequence.
    pub tokens: &'a [u32],
    /// One entry for each planned sequence.
    pub sampling: &'a [Sampling],
}

/// What was sampled for one planned sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// The token.
    pub token: u32,
    /// A digest of the logits' bits, equal only when every logit is equal to the bit (0 where the executor has no logits).
    pub logits_digest: u64,
}

/// How likely a token was: natural logarithms of probabilities, before temperature and top-p.
#[derive(Clone, Debug, PartialEq)]
pub struct Logprobs {
    /// Of the token that was chosen.
    pub chosen: f32,
    /// The likeliest tokens, in order.
    pub likeliest: Vec<(u32, f32)>,
}

/// An executor could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: {why}")]
pub struct ExecutorError {
    /// What was attempted.
    pub doing: &'static str,
    /// What went wrong.
    pub why: String,
}

/// The computing side of one unit. It decides nothing.
pub trait Executor: Send {
    /// Computes one step and appends one [`Sampled`] for every planned sequence with `sample`, in plan order.
    ///
    /// # Errors
    /// When the step could not be computed: the unit has failed.
    fn step(&mut self, input: StepInput<'_>, sampled: &mut Vec<Sampled>) -> Result<(), ExecutorError>;

    /// Copies blocks `piece` (indices into the transfer's block list) from the source unit into this unit's KV.
    ///
    /// # Errors
    /// When the blocks could not be read or written: this unit has failed.
    fn import(&mut self, transfer: &Transfer, piece: Range<u32>) -> Result<(), ExecutorError>;

    /// How likely `token` was, the `index`-th that the last step sampled, beside the `most` likeliest tokens. Asked for
    /// those sequences only whose request wants to know. `None` where the executor has no logits.
    fn logprobs(&self, index: usize, token: u32, most: u8) -> Option<Logprobs> {
        let _ = (index, token, most);
        None
    }

    /// Token ids from this one on cannot be computed; a prompt that has one is refused.
    fn vocabulary(&self) -> u32 {
        u32::MAX
    }
}
