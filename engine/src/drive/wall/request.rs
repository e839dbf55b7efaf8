//! The token ids of a request in flight: the part of it that the cluster does not want to know.

use std::sync::Arc;

use crate::block_hash;
use crate::cluster::{BlockHash, PlannedSequence};
use crate::executor::{Logprobs, Sampled, Sampling};
use crate::units::RequestId;

/// Tokens, how to sample more of them, and the hashes of the blocks they fill.
#[derive(Debug)]
pub(super) struct RequestTokens {
    /// Never reused, unlike the number of a request: a step that outlives its request finds another one under that.
    pub(super) ticket: u64,
    /// Prompt and answer so far.
    known: Vec<u32>,
    prompt_tokens: usize,
    /// One digest for each token of the answer.
    digests: Vec<u64>,
    /// Whether to tell how likely tokens were, and how many of the likeliest beside each.
    asked: Option<u8>,
    /// One for each token of the answer, if asked for.
    logprobs: Vec<Option<Arc<Logprobs>>>,
    sampling: Sampling,
    stop: Arc<[u32]>,
    /// Hashes of the full blocks of `known`, as far as they were needed.
    chain: Vec<BlockHash>,
    prompt_blocks: usize,
}

impl RequestTokens {
    /// Takes no memory for the answer: how long that may become is for the cluster to accept.
    pub(super) fn new(
        prompt: &[u32],
        sampling: Sampling,
        stop: Arc<[u32]>,
        asked: Option<u8>,
        chain: Vec<BlockHash>,
    ) -> Self {
        Self {
            ticket: 0,
            known: prompt.to_vec(),
            prompt_tokens: prompt.len(),
            digests: Vec::new(),
            asked,
            logprobs: Vec::new(),
            sampling,
            stop,
            prompt_blocks: chain.len(),
            chain,
        }
    }

    pub(super) fn sampling(&self) -> Sampling {
        self.sampling
    }

    /// Appends the ids of the planned positions to `into`.
    pub(super) fn read(&self, planned: &PlannedSequence, into: &mut Vec<u32>) {
        let start = planned.start as usize;
        into.extend_from_slice(self.known.get(start..start + planned.tokens as usize).unwrap_or(&[]));
    }

    /// How many of the likeliest tokens to tell beside each of the answer; `None` when nothing is to be told.
    pub(super) fn asked(&self) -> Option<u8> {
        self.asked
    }

    /// Takes a sampled token; `true` when it ends the answer.
    pub(super) fn push(&mut self, sampled: Sampled, logprobs: Option<Arc<Logprobs>>) -> bool {
        if self.asked.is_some() {
            self.logprobs.push(logprobs);
        }
        self.known.push(sampled.token);
        self.digests.push(sampled.logits_digest);
        self.stop.contains(&sampled.token)
    }

    /// How likely token `index` of the answer was, if that is known.
    pub(super) fn logprobs(&self, index: u32) -> Option<Arc<Logprobs>> {
        self.logprobs.get(index as usize).cloned().flatten()
    }

    /// Token `index` of the answer and its digest.
    pub(super) fn output(&self, index: u32) -> Option<Sampled> {
        let index = index as usize;
        let token = *self.known.get(self.prompt_tokens + index)?;
        Some(Sampled { token, logits_digest: *self.digests.get(index)? })
    }

    /// Reports the blocks beyond the prompt's own that `planned` has filled.
    pub(super) fn filled(
        &mut self,
        planned: &PlannedSequence,
        block_tokens: usize,
        into: &mut Vec<(RequestId, u32, BlockHash)>,
    ) {
        let first = (planned.start as usize / block_tokens).max(self.prompt_blocks);
        let end = (planned.start + planned.tokens) as usize / block_tokens;
        for index in first..end {
            while self.chain.len() <= index {
                let from = self.chain.len() * block_tokens;
                let Some(block) = self.known.get(from..from + block_tokens) else { return };
                self.chain.push(block_hash::chain(self.chain.last().copied(), block));
            }
            into.push((planned.request, index as u32, self.chain[index]));
        }
    }
}
