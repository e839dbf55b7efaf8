//! An answer, out of its events. Pure.

use engine::remote::vllm::{VllmChunk, VllmComplete, VllmEvent};

use crate::sample::{Account, CountedBy, FailureKind, Outcome, ServerSide};
use crate::target::remote::{End, failed, most_of_prompt, most_tokens};

/// What has come of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Tokens so far.
    told: u32,
    most: u32,
    most_of_prompt: u32,
    /// Tokens of the prompt, and those of them that the prefix cache had, as they were told last.
    prompt: (u32, u32),
    /// How it ended, once it has.
    outcome: Option<Outcome>,
}

impl Answer {
    /// To a prompt of `prompt` tokens that asked for `output_tokens`.
    pub(super) fn new(prompt: usize, output_tokens: u32) -> Self {
        Self {
            told: 0,
            most: most_tokens(output_tokens),
            most_of_prompt: most_of_prompt(prompt),
            prompt: (0, 0),
            outcome: None,
        }
    }

    /// Takes what came, and gives back the tokens in it that had not come before.
    pub(super) fn take(&mut self, event: VllmEvent) -> Vec<u32> {
        match event {
            VllmEvent::Chunk(VllmChunk { tokens, prompt_tokens, cached_tokens }) => {
                self.prompt = (prompt_tokens, cached_tokens);
                self.came(tokens)
            }
            VllmEvent::Complete(VllmComplete { tokens, finish_reason, prompt_tokens, cached_tokens }) => {
                self.prompt = (prompt_tokens, cached_tokens);
                // Behind chunks they are those of the last one again.
                let tokens = if self.told == 0 { self.came(tokens) } else { Vec::new() };
                self.outcome.get_or_insert_with(|| match finish_reason.as_str() {
                    "abort" | "error" => failed(FailureKind::Engine, format!("finish_reason {finish_reason}")),
                    _ => Outcome::Completed,
                });
                tokens
            }
        }
    }

    /// Whether tokens have come.
    pub(super) fn has_begun(&self) -> bool {
        self.told > 0
    }

    /// Whether it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.outcome.is_some()
    }

    /// What became of it, when nothing more is waited for because of `why`.
    pub(super) fn end(self, why: Outcome) -> End {
        let (prompt, cached) = self.prompt;
        let prompt_tokens = Some(prompt).filter(|prompt| (1..=self.most_of_prompt).contains(prompt));
        let server = prompt_tokens.map(|prefix_queried| ServerSide {
            prefix_queried,
            prefix_hit: cached.min(prefix_queried),
            ..ServerSide::default()
        });
        let counted = (self.told > 0).then_some(CountedBy::Ids);
        let account = Account { counted, prompt_tokens, ..Account::default() };
        End { outcome: self.outcome.unwrap_or(why), server, tokens: None, account, text: None }
    }

    fn came(&mut self, tokens: Vec<u32>) -> Vec<u32> {
        let told = u32::try_from(tokens.len()).unwrap_or(u32::MAX).saturating_add(self.told);
        if told > self.most {
            let message = format!("the answer goes on beyond {} tokens", self.most);
            self.outcome = Some(failed(FailureKind::Malformed, message));
            return Vec::new();
        }
        self.told = told;
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(tokens: &[u32]) -> VllmEvent {
        VllmEvent::Chunk(VllmChunk { tokens: tokens.to_vec(), prompt_tokens: 9, cached_tokens: 4 })
    }

    fn complete(tokens: &[u32], finish_reason: &str) -> VllmEvent {
        let (tokens, finish_reason) = (tokens.to_vec(), finish_reason.to_owned());
        VllmEvent::Complete(VllmComplete { tokens, finish_reason, prompt_tokens: 9, cached_tokens: 4 })
    }

    fn read(events: Vec<VllmEvent>) -> (Vec<Vec<u32>>, End) {
        let mut answer = Answer::new(9, 4);
        let mut tokens = Vec::new();
        for event in events {
            assert!(!answer.is_over());
            tokens.push(answer.take(event));
        }
        (tokens, answer.end(Outcome::Cut))
    }

    #[test]
    fn what_completes_an_answer_repeats_its_last_chunk_and_brings_nothing() {
        let (tokens, end) = read(vec![chunk(&[1]), chunk(&[2, 3]), chunk(&[4]), complete(&[4], "length")]);
        assert_eq!(tokens, [vec![1], vec![2, 3], vec![4], vec![]]);
        assert_eq!((end.outcome, end.account.counted), (Outcome::Completed, Some(CountedBy::Ids)));
        assert_eq!(end.account.prompt_tokens, Some(9));
        assert_eq!(end.server.map(|server| (server.prefix_queried, server.prefix_hit)), Some((9, 4)));
    }

    #[test]
    fn an_answer_without_chunks_is_in_what_completes_it() {
        let (tokens, end) = read(vec![complete(&[1, 2, 3, 4], "stop")]);
        assert_eq!((tokens, end.outcome), (vec![vec![1, 2, 3, 4]], Outcome::Completed));
    }

    #[test]
    fn an_engine_that_gave_up_has_failed_and_one_that_fell_silent_has_cut() {
        for reason in ["abort", "error"] {
            let (_, end) = read(vec![chunk(&[1]), complete(&[], reason)]);
            assert_eq!(end.outcome, failed(FailureKind::Engine, format!("finish_reason {reason}")));
        }
        let (_, end) = read(vec![chunk(&[1])]);
        assert_eq!((end.outcome, end.account.prompt_tokens), (Outcome::Cut, Some(9)));
        let (_, end) = read(Vec::new());
        assert_eq!((end.account, end.server), (Account::default(), None));
    }

    #[test]
    fn an_answer_without_end_is_not_taken_beyond_what_it_may_be() {
        let (tokens, end) = read(vec![chunk(&[1; 264]), chunk(&[1])]);
        assert_eq!(tokens.iter().map(Vec::len).sum::<usize>(), 264);
        assert_eq!(end.outcome, failed(FailureKind::Malformed, "the answer goes on beyond 264 tokens"));
    }
}
