//! A streamed answer, out of its bytes. Pure: how the network has cut them makes no difference.

mod told;

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::ApiKey;
use crate::http::message;
use crate::sample::{FailureKind, Outcome, ServerSide, Told};
use crate::sse::{Event, Framer};
use crate::target::remote::{End, failed};

/// Most bytes of an event: a fixed part, and so many for each token of the prompt, which the server may repeat.
const EVENT_BYTES: (usize, usize) = (256 * 1024, 16);
/// An answer that goes on beyond so many times what was asked for, and so many more, has no end.
const BEYOND: (u32, u32) = (2, 256);

/// What has been read of an answer.
#[derive(Debug)]
pub(super) struct Answer<'k> {
    framer: Framer,
    state: State<'k>,
}

#[derive(Debug)]
struct State<'k> {
    /// To be kept out of messages.
    key: Option<&'k ApiKey>,
    /// Tokens told so far.
    told: u32,
    most: u32,
    /// Whether the server tells ids, by which tokens are counted then.
    ids: bool,
    usage: Option<Usage>,
    /// Who served it; `None` before the first piece.
    served: Option<Told>,
    /// A piece said that it was the last.
    finished: bool,
    /// The stream said that it was over.
    done: bool,
    failure: Option<Outcome>,
}

#[derive(Debug, Deserialize)]
struct Piece<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    nvext: Option<Extension>,
    /// There in place of the others when something went wrong.
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(borrow, default)]
    object: Option<Cow<'a, str>>,
}

/// What a server adds of its own; of another shape than is known, it is nothing.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Extension {
    Known(told::Extra),
    Other(IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(default)]
    token_ids: Option<Vec<u32>>,
    /// A text, or an object with its own reason inside.
    #[serde(default)]
    finish_reason: Option<serde_json::Value>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: Option<u32>,
    #[serde(default)]
    completion_tokens: Option<u32>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

impl<'k> Answer<'k> {
    /// To a prompt of `prompt` tokens that asked for `output_tokens`.
    pub(super) fn new(prompt: usize, output_tokens: u32, key: Option<&'k ApiKey>) -> Self {
        let framer = Framer::new(EVENT_BYTES.0.saturating_add(prompt.saturating_mul(EVENT_BYTES.1)));
        let most = output_tokens.saturating_mul(BEYOND.0).saturating_add(BEYOND.1);
        let state = State {
            key,
            told: 0,
            most,
            ids: false,
            usage: None,
            served: None,
            finished: false,
            done: false,
            failure: None,
        };
        Self { framer, state }
    }

    /// Reads what came and appends the tokens in it, with ids where they are told.
    pub(super) fn read(&mut self, bytes: &[u8], tokens: &mut Vec<Option<u32>>) {
        let Self { framer, state } = self;
        if let Err(too_long) = framer.push(bytes, |event| state.event(event, tokens)) {
            state.fail(FailureKind::Malformed, too_long.to_string());
        }
    }

    /// The stream has ended.
    pub(super) fn close(&mut self, tokens: &mut Vec<Option<u32>>) {
        let Self { framer, state } = self;
        framer.finish(|event| state.event(event, tokens));
    }

    /// Whether nothing that may still come is of interest.
    pub(super) fn is_over(&self) -> bool {
        self.state.done || self.state.failure.is_some()
    }

    /// Whether its last piece came: what may still come is its usage, and the word that the stream is over.
    pub(super) fn is_finished(&self) -> bool {
        self.state.finished
    }

    /// What became of it.
    pub(super) fn end(self) -> End {
        self.broken(Outcome::Cut)
    }

    /// What became of it when the connection was lost for `why`; the last piece may have come before.
    pub(super) fn broken(self, why: Outcome) -> End {
        let counted = self.state.counted().filter(|counted| *counted <= self.state.most);
        let State { usage, served, finished, done, failure, .. } = self.state;
        let outcome = match failure {
            Some(failure) => failure,
            None if finished || done => Outcome::Completed,
            None => why,
        };
        let told = served.filter(|served| !served.is_empty()).map(Arc::new);
        let server = match (usage.and_then(Usage::server_side), told) {
            (Some(server), told) => Some(ServerSide { told, ..server }),
            (None, Some(told)) => Some(ServerSide { told: Some(told), ..ServerSide::default() }),
            (None, None) => None,
        };
        End { outcome, server, tokens: counted }
    }
}

impl Piece<'_> {
    fn is_error(&self) -> bool {
        self.error.is_some() || self.object.as_deref() == Some("error")
    }
}

impl Usage {
    /// What it tells of the prefix cache.
    fn server_side(self) -> Option<ServerSide> {
        let prefix_hit = self.prompt_tokens_details?.cached_tokens?;
        Some(ServerSide { prefix_queried: self.prompt_tokens?, prefix_hit, ..ServerSide::default() })
    }
}

impl State<'_> {
    /// How many tokens the usage says there are, where that is not what was told; told ids are the better count.
    fn counted(&self) -> Option<u32> {
        self.usage?.completion_tokens.filter(|counted| !self.ids && *counted != self.told)
    }

    fn fail(&mut self, kind: FailureKind, message: String) {
        self.failure.get_or_insert(failed(kind, message));
    }

    fn event(&mut self, event: Event<'_>, tokens: &mut Vec<Option<u32>>) {
        if self.done || self.failure.is_some() {
            return;
        }
        if event.data == b"[DONE]" {
            self.done = true;
            return;
        }
        match serde_json::from_slice::<Piece<'_>>(event.data) {
            Ok(piece) if !piece.is_error() && event.kind != b"error" => self.piece(piece, tokens),
            Ok(_) => self.fail(FailureKind::Engine, message(event.data, self.key)),
            Err(error) => self.fail(FailureKind::Malformed, format!("an event that is no piece of an answer: {error}")),
        }
    }

    fn piece(&mut self, piece: Piece<'_>, tokens: &mut Vec<Option<u32>>) {
        let before = tokens.len();
        let id = piece.id.as_deref();
        let served = self.served.get_or_insert_with(|| id.and_then(told::of_id).unwrap_or_default());
        if let Some(Extension::Known(extra)) = piece.nvext {
            extra.add_to(served);
        }
        // One answer was asked for.
        if let Some(choice) = piece.choices.into_iter().flatten().next() {
            let so_far = piece.usage.and_then(|usage| usage.completion_tokens);
            match (choice.token_ids, so_far) {
                (Some(ids), _) => {
                    self.ids = true;
                    tokens.extend(ids.into_iter().map(Some));
                }
                // A piece without ids from a server that tells them, such as a last one without text.
                (None, _) if self.ids => {}
                (None, Some(so_far)) => {
                    let new = so_far.saturating_sub(self.told).min(self.most.saturating_add(1));
                    tokens.extend(std::iter::repeat_n(None, new as usize));
                }
                (None, None) if choice.text.is_some_and(|text| !text.is_empty()) => tokens.push(None),
                (None, None) => {}
            }
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_null()) {
                self.finish(&reason);
            }
        }
        self.usage = piece.usage.or(self.usage);
        self.told = self.told.saturating_add((tokens.len() - before) as u32);
        if self.told > self.most {
            self.fail(FailureKind::Malformed, format!("the answer goes on beyond {} tokens", self.most));
        } else if let Some(counted) = self.counted().filter(|counted| *counted > self.most) {
            self.fail(FailureKind::Malformed, format!("its usage has {counted} tokens, more than {}", self.most));
        }
    }

    fn finish(&mut self, reason: &serde_json::Value) {
        let name = reason.as_str().or_else(|| reason.get("type")?.as_str());
        match name {
            Some(name @ ("abort" | "error")) => self.fail(FailureKind::Engine, format!("finish_reason {name}")),
            _ => self.finished = true,
        }
    }
}

#[cfg(test)]
mod tests;
