//! What is answered: whole answers and pieces of a stream, as JSON.
//!
//! A stream has a piece for every token, so what all of its pieces share is written once.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Serialize, Serializer};

use super::ask::{Endpoint, Streaming};
use super::logprobs::{LogprobsJson, Told};
use super::sse;
use crate::model::ModelText;
use crate::serve::text::Finish;

/// Bytes of a piece of a stream beyond what all of them begin with, mostly.
const PIECE: usize = 160;
/// What a log-probability costs to be written, in bytes of text that take as long.
const EACH: usize = 64;

/// The envelope of everything that answers one request.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Reply {
    endpoint: Endpoint,
    id: String,
    created: u64,
    model: String,
    streaming: Streaming,
    /// The prompts of all choices, where the client wants to see token ids.
    prompts: Option<Vec<Arc<[u32]>>>,
    /// What names tokens, where the client wants to know how likely they were.
    logprobs: Option<Arc<ModelText>>,
    /// What every piece of a stream begins with, up to its choice.
    begin: Bytes,
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
    /// What a stream tells beside the text.
    pub(in crate::serve) streaming: Streaming,
    /// The prompts of all choices, where the client wants to see token ids.
    pub(in crate::serve) prompts: Option<Vec<Arc<[u32]>>>,
    /// What names tokens, where the client wants to know how likely they were.
    pub(in crate::serve) logprobs: Option<Arc<ModelText>>,
}

/// Tokens that a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Usage {
    /// Of all prompts.
    pub(in crate::serve) prompt: u64,
    /// Of all answers.
    pub(in crate::serve) completion: u64,
    /// Of the prompts, those that came from the prefix cache, if that is known.
    pub(in crate::serve) cached: Option<u64>,
}

/// What one token adds to a choice of a stream.
#[derive(Debug)]
pub(in crate::serve) struct Piece<'a> {
    /// Which choice.
    pub(in crate::serve) index: usize,
    /// Often none.
    pub(in crate::serve) text: &'a str,
    /// Whether it is the first of its choice.
    pub(in crate::serve) first: bool,
    /// How the choice ended, if this was its last token.
    pub(in crate::serve) finish: Option<Finish>,
    /// The token.
    pub(in crate::serve) token: Told,
    /// Characters of the choice's tokens before this one; moved on where log-probabilities are told.
    pub(in crate::serve) offset: &'a mut usize,
    /// What the request has taken so far.
    pub(in crate::serve) usage: Usage,
}

/// A choice from its first token to its last.
#[derive(Clone, Debug, Default)]
pub(in crate::serve) struct Written {
    /// All of its text.
    pub(in crate::serve) text: String,
    /// How it ended.
    pub(in crate::serve) finish: Option<Finish>,
    /// Its tokens.
    pub(in crate::serve) tokens: Vec<Told>,
}

impl Written {
    /// How much work it is to write it as JSON, in bytes of text that take as long.
    pub(in crate::serve) fn work(&self) -> usize {
        let likeliest = self.tokens.iter().filter_map(|(_, known)| Some(known.as_ref()?.likeliest.len() + 1));
        self.text.len() + self.tokens.len() + EACH * likeliest.sum::<usize>()
    }
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
    prompt_tokens_details: Option<PromptDetails>,
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
    logprobs: Option<LogprobsJson<'a>>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_token_ids: Option<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_ids: Option<Ids<'a>>,
}

/// The ids alone.
struct Ids<'a>(&'a [Told]);

impl Serialize for Ids<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|(id, _)| id))
    }
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
            prompt_tokens_details: usage.cached.map(|cached_tokens| PromptDetails { cached_tokens }),
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
        let Heading { endpoint, number, created, model, streaming, prompts, logprobs } = heading;
        let prefix = match endpoint {
            Endpoint::Completion => "cmpl",
            Endpoint::Chat => "chatcmpl",
        };
        let mut reply = Self {
            endpoint,
            id: format!("{prefix}-{number}"),
            created,
            model,
            streaming,
            prompts,
            logprobs,
            begin: Bytes::new(),
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

    fn beginning(&self) -> Bytes {
        let mut begin = BytesMut::new();
        begin.extend_from_slice(b"{\"id\":");
        json(&self.id, &mut begin);
        begin.extend_from_slice(b",\"object\":");
        json(&self.object(true), &mut begin);
        begin.extend_from_slice(b",\"created\":");
        json(&self.created, &mut begin);
        begin.extend_from_slice(b",\"model\":");
        json(&self.model, &mut begin);
        begin.extend_from_slice(b",\"choices\":[");
        begin.freeze()
    }

    /// Appends the event of a token. The first of a chat says who speaks.
    pub(in crate::serve) fn piece(&self, piece: Piece<'_>, out: &mut BytesMut) {
        let Piece { index, text, first, finish, token, offset, usage } = piece;
        let prompt = self.prompts.as_ref().filter(|_| first).and_then(|prompts| Some(&**prompts.get(index)?));
        let tokens = [token];
        let logprobs = self.told(&tokens, *offset);
        if let Some(told) = &logprobs {
            *offset = told.end();
        }
        let chat = self.endpoint == Endpoint::Chat;
        let choice = ChoiceJson {
            index,
            text: (!chat).then_some(text),
            message: None,
            delta: chat.then_some(MessageJson { role: first.then_some("assistant"), content: text }),
            logprobs,
            finish_reason: finish.map(Finish::name),
            prompt_token_ids: prompt.filter(|_| !chat),
            token_ids: self.prompts.is_some().then_some(Ids(&tokens)),
        };
        out.reserve(self.begin.len() + PIECE);
        out.extend_from_slice(sse::BEGIN);
        out.extend_from_slice(&self.begin);
        json(&choice, out);
        out.put_u8(b']');
        // As in vLLM: a chat has one prompt, which stands beside its choices.
        if let Some(prompt) = prompt.filter(|_| chat && index == 0) {
            out.extend_from_slice(b",\"prompt_token_ids\":");
            json(prompt, out);
        }
        if self.streaming.continuous {
            out.extend_from_slice(b",\"usage\":");
            json(&UsageJson::from(usage), out);
        } else if self.streaming.usage {
            out.extend_from_slice(b",\"usage\":null");
        }
        out.put_u8(b'}');
        out.extend_from_slice(sse::END);
    }

    /// Appends the last event of a stream, if its client wants the usage.
    pub(in crate::serve) fn usage(&self, usage: Usage, out: &mut BytesMut) {
        if !self.streaming.usage {
            return;
        }
        out.extend_from_slice(sse::BEGIN);
        out.extend_from_slice(&self.begin);
        out.extend_from_slice(b"],\"usage\":");
        json(&UsageJson::from(usage), out);
        out.put_u8(b'}');
        out.extend_from_slice(sse::END);
    }

    /// How likely `tokens` were, where the client wants to know; `offset` characters stand before them.
    fn told<'a>(&'a self, tokens: &'a [Told], offset: usize) -> Option<LogprobsJson<'a>> {
        self.logprobs.as_ref().map(|text| LogprobsJson { endpoint: self.endpoint, text, tokens, offset })
    }

    /// The whole answer; the choices stand in order.
    pub(in crate::serve) fn whole(&self, choices: &[Written], usage: Usage) -> Bytes {
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
                logprobs: self.told(&written.tokens, 0),
                finish_reason: written.finish.map(Finish::name),
                prompt_token_ids: prompt(index).filter(|_| !chat),
                token_ids: self.prompts.is_some().then_some(Ids(&written.tokens)),
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
        let mut out = BytesMut::new();
        json(&envelope, &mut out);
        out.freeze()
    }
}

/// Appends `value`. Texts and numbers alone: nothing here can fail to be JSON, nor a buffer to be written to.
fn json<T: Serialize + ?Sized>(value: &T, out: &mut BytesMut) {
    let written = serde_json::to_writer(out.writer(), value);
    debug_assert!(written.is_ok(), "{written:?}");
}
