//! Events of an answer as servers write them: `OpenAI`'s completions and chat completions, with what vLLM, SGLang and others
//! have added.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::told::Extra;
use crate::sample::ServerSide;

/// One event.
#[derive(Debug, Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) choices: Option<Vec<Choice<'a>>>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
    /// What the server calls its software and configuration.
    #[serde(borrow, default)]
    pub(super) system_fingerprint: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) nvext: Option<Extension>,
    /// There in place of the others when something went wrong.
    #[serde(default)]
    error: Option<IgnoredAny>,
    #[serde(borrow, default)]
    object: Option<Cow<'a, str>>,
}

/// What a server adds of its own; of another shape than is known, it is nothing.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Extension {
    Known(Extra),
    Other(IgnoredAny),
}

impl Piece<'_> {
    pub(super) fn is_error(&self) -> bool {
        self.error.is_some() || self.object.as_deref() == Some("error")
    }
}

/// What came of one of the answers; one was asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Choice<'a> {
    /// Of a completion.
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    /// Of a chat.
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(default)]
    pub(super) token_ids: Option<Vec<u32>>,
    /// A text, or an object with its own reason inside.
    #[serde(default)]
    pub(super) finish_reason: Option<serde_json::Value>,
}

/// What came of a chat's message. Its role comes first, alone: no token.
#[derive(Debug, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    /// vLLM's word until 2025, `DeepSeek`'s and SGLang's.
    #[serde(borrow, default)]
    reasoning_content: Option<Cow<'a, str>>,
    /// vLLM's word since.
    #[serde(borrow, default)]
    reasoning: Option<Cow<'a, str>>,
    /// Calls of tools are generated like any text.
    #[serde(default)]
    tool_calls: Option<Vec<IgnoredAny>>,
}

/// What the text of a piece belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// There is none.
    Nothing,
    /// To the reasoning before the answer.
    Reasoning,
    /// To the answer itself.
    Answer,
}

impl<'a> Choice<'a> {
    /// What it says of the answer itself.
    pub(super) fn said(&self) -> Option<Cow<'a, str>> {
        self.text.clone().or_else(|| self.delta.as_ref()?.content.clone())
    }

    pub(super) fn part(&self) -> Part {
        let is_text = |text: &Option<Cow<'_, str>>| text.as_ref().is_some_and(|text| !text.is_empty());
        let delta = self.delta.as_ref();
        let calls = |delta: &Delta<'_>| delta.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty());
        if is_text(&self.text) || delta.is_some_and(|delta| is_text(&delta.content) || calls(delta)) {
            Part::Answer
        } else if delta.is_some_and(|delta| is_text(&delta.reasoning_content) || is_text(&delta.reasoning)) {
            Part::Reasoning
        } else {
            Part::Nothing
        }
    }
}

/// How many tokens there are, or are so far.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Usage {
    #[serde(default)]
    pub(super) prompt_tokens: Option<u32>,
    #[serde(default)]
    pub(super) completion_tokens: Option<u32>,
    #[serde(default)]
    prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u32>,
}

impl Usage {
    /// What it tells of the prefix cache.
    pub(super) fn server_side(self) -> Option<ServerSide> {
        let prefix_hit = self.prompt_tokens_details?.cached_tokens?;
        Some(ServerSide { prefix_queried: self.prompt_tokens?, prefix_hit, ..ServerSide::default() })
    }

    /// How many of the tokens were reasoning.
    pub(super) fn reasoning_tokens(self) -> Option<u32> {
        self.completion_tokens_details?.reasoning_tokens
    }
}
