//! What is answered: whole answers and pieces of a stream, as JSON.
//!
//! A stream has a piece for every token, so what all of its pieces share is written once.

use std::sync::Arc;

use serde::Serialize;

use super::ask::Endpoint;
use super::sse;
use crate::serve::text::Finish;

/// The envelope of everything that answers one request.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Reply {
    endpoint: Endpoint,
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
    /// The prompts of all choices, where the client wants to see token ids.
    prompts: Option<Vec<Arc<[u32]>>>,
    /// What every piece of a stream begins with, up to its choice.
    begin: Vec<u8>,
}

/// What makes the answers to one request different from others'.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Heading {
    /// What was called.
    pub(in crate::serve) endpoint: Endpoint,
    /// Tells this request from all others of this server.
    pub(in crate::serve) number: u64,
    /// When, in seconds since 1970.
    pub(in crate::serve) created: u64,
    /// Who answers.
    pub(in crate::serve) model: String,
    /// Whether a stream ends with its usage.
    pub(in crate::serve) include_usage: bool,
    /// The prompts of all choices, where the client wants to see token ids.
    pub(in crate::serve) prompts: Option<Vec<Arc<[u32]>>>,
}

/// Tokens that a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Usage {
    /// Of all prompts.
    pub(in crate::serve) prompt: u64,
    /// Of all answers.
    pub(in crate::serve) completion: u64,
    /// Of the prompts, those that came from the prefix cache, as far as is known.
    pub(in crate::serve) cached: u64,
}

/// What one token adds to a choice of a stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) struct Piece<'a> {
    /// Which choice.
    pub(in crate::serve) index: usize,
    /// Often none.
    pub(in crate::serve) text: &'a str,
    /// Whether it is the first of its choice.
    pub(in crate::serve) first: bool,
    /// How the choice ended, if this was its last token.
    pub(in crate::serve) finish: Option<Finish>,
    /// The id of the token.
    pub(in crate::serve) token: u32,
}

/// A choice from its first token to its last.
#[derive(Clone, Debug, Default)]
pub(in crate::serve) struct Written {
    /// All of its text.
    pub(in crate::serve) text: String,
    /// How it ended.
    pub(in crate::serve) finish: Option<Finish>,
    /// The ids of its tokens.
    pub(in crate::serve) tokens: Vec<u32>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_ids: Option<&'a [u32]>,
    choices: &'a [ChoiceJson<'a>],
    usage: UsageJson,
}

#[derive(Serialize)]
struct UsageJson {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
}

#[derive(Serialize)]
struct PromptDetails {
    cached_tokens: u64,
}

/// A choice of any shape: the fields that the shape does not have are absent.
#[derive(Serialize)]
struct ChoiceJson<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<MessageJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<MessageJson<'a>>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_ids: Option<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ids: Option<&'a [u32]>,
}

#[derive(Serialize)]
struct MessageJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    content: &'a str,
}

impl From<Usage> for UsageJson {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            total_tokens: usage.prompt + usage.completion,
            prompt_tokens_details: PromptDetails { cached_tokens: usage.cached },
        }
    }
}

impl Finish {
    fn name(self) -> &'static str {
        match self {
            Self::StopToken | Self::StopText => "stop",
            Self::Length => "length",
        }
    }
}

impl Reply {
    pub(in crate::serve) fn new(heading: Heading) -> Self {
        let Heading { endpoint, number, created, model, include_usage, prompts } = heading;
        let prefix = match endpoint {
            Endpoint::Completion => "cmpl",
            Endpoint::Chat => "chatcmpl",
        };
        let mut reply = Self {
            endpoint,
            id: format!("{prefix}-{number}"),
            created,
            model,
            include_usage,
            prompts,
            begin: Vec::new(),
        };
        reply.begin = reply.beginning();
        reply
    }

    fn object(&self, piece: bool) -> &'static str {
        match self.endpoint {
            Endpoint::Completion => "text_completion",
            Endpoint::Chat if piece => "chat.completion.chunk",
            Endpoint::Chat => "chat.completion",
        }
    }

    fn beginning(&self) -> Vec<u8> {
        let mut begin = Vec::new();
        begin.extend_from_slice(b"{\"id\":");
        json(&self.id, &mut begin);
        begin.extend_from_slice(b",\"object\":");
        json(&self.object(true), &mut begin);
        begin.extend_from_slice(b",\"created\":");
        json(&self.created, &mut begin);
        begin.extend_from_slice(b",\"model\":");
        json(&self.model, &mut begin);
        begin.extend_from_slice(b",\"choices\":[");
        begin
    }

    /// Appends the event of a token. The first of a chat says who speaks.
    pub(in crate::serve) fn piece(&self, piece: Piece<'_>, out: &mut Vec<u8>) {
        let Piece { index, text, first, finish, token } = piece;
        let prompt = self.prompts.as_ref().filter(|_| first).and_then(|prompts| Some(&**prompts.get(index)?));
        let token = [token];
        let chat = self.endpoint == Endpoint::Chat;
        let choice = ChoiceJson {
            index,
            text: (!chat).then_some(text),
            message: None,
            delta: chat.then_some(MessageJson { role: first.then_some("assistant"), content: text }),
            logprobs: None,
            finish_reason: finish.map(Finish::name),
            prompt_token_ids: prompt.filter(|_| !chat),
            token_ids: self.prompts.is_some().then_some(&token),
        };
        out.extend_from_slice(sse::BEGIN);
        out.extend_from_slice(&self.begin);
        json(&choice, out);
        out.push(b']');
        // As in vLLM: a chat has one prompt, which stands beside its choices.
        if let Some(prompt) = prompt.filter(|_| chat && index == 0) {
            out.extend_from_slice(b",\"prompt_token_ids\":");
            json(prompt, out);
        }
        if self.include_usage {
            out.extend_from_slice(b",\"usage\":null");
        }
        out.push(b'}');
        out.extend_from_slice(sse::END);
    }

    /// Appends the last event of a stream whose client wants the usage.
    pub(in crate::serve) fn usage(&self, usage: Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(sse::BEGIN);
        out.extend_from_slice(&self.begin);
        out.extend_from_slice(b"],\"usage\":");
        json(&UsageJson::from(usage), out);
        out.push(b'}');
        out.extend_from_slice(sse::END);
    }

    /// The whole answer; the choices stand in order.
    pub(in crate::serve) fn whole(&self, choices: &[Written], usage: Usage) -> Vec<u8> {
        let chat = self.endpoint == Endpoint::Chat;
        let prompt = |index: usize| self.prompts.as_ref().and_then(|prompts| Some(&**prompts.get(index)?));
        let mut told = Vec::with_capacity(choices.len());
        for (index, written) in choices.iter().enumerate() {
            let message = MessageJson { role: Some("assistant"), content: &written.text };
            told.push(ChoiceJson {
                index,
                text: (!chat).then_some(&written.text),
                message: chat.then_some(message),
                delta: None,
                logprobs: None,
                finish_reason: written.finish.map(Finish::name),
                prompt_token_ids: prompt(index).filter(|_| !chat),
                token_ids: self.prompts.is_some().then_some(&written.tokens),
            });
        }
        let envelope = Envelope {
            id: &self.id,
            object: self.object(false),
            created: self.created,
            model: &self.model,
            prompt_token_ids: prompt(0).filter(|_| chat),
            choices: &told,
            usage: usage.into(),
        };
        let mut out = Vec::new();
        json(&envelope, &mut out);
        out
    }
}

/// Appends `value`. Texts and numbers alone: nothing here can fail to be JSON, nor a vector to be written to.
fn json<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok(), "{written:?}");
}
