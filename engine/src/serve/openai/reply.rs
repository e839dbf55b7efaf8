//! What is answered: whole answers and pieces of a stream, as JSON.

use serde::Serialize;

use super::ask::Endpoint;
use crate::serve::text::Finish;

/// The envelope of everything that answers one request.
#[derive(Clone, Debug)]
pub(in crate::serve) struct Reply {
    endpoint: Endpoint,
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
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

#[derive(Serialize)]
struct Envelope<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<C>,
    #[serde(skip_serializing_if = "UsageField::is_absent")]
    usage: UsageField,
}

#[derive(Serialize)]
#[serde(untagged)]
enum UsageField {
    /// Nobody asked for it.
    Absent,
    /// `null`, in the pieces of a stream that ends with it.
    Later,
    Told(UsageJson),
}

impl UsageField {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
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
    /// `number` tells this request from all others of this server; `include_usage` is for streams.
    pub(in crate::serve) fn new(
        endpoint: Endpoint,
        number: &str,
        created: u64,
        model: String,
        include_usage: bool,
    ) -> Self {
        let prefix = match endpoint {
            Endpoint::Completion => "cmpl",
            Endpoint::Chat => "chatcmpl",
        };
        Self { endpoint, id: format!("{prefix}-{number}"), created, model, include_usage }
    }

    /// A piece of a stream: what a token added to choice `index`. The first of a chat says who speaks.
    pub(in crate::serve) fn piece(&self, index: usize, text: &str, first: bool, finish: Option<Finish>) -> String {
        let plain = ChoiceJson {
            index,
            text: None,
            message: None,
            delta: None,
            logprobs: None,
            finish_reason: finish.map(Finish::name),
        };
        let choice = match self.endpoint {
            Endpoint::Completion => ChoiceJson { text: Some(text), ..plain },
            Endpoint::Chat => {
                let delta = MessageJson { role: first.then_some("assistant"), content: text };
                ChoiceJson { delta: Some(delta), ..plain }
            }
        };
        let usage = if self.include_usage { UsageField::Later } else { UsageField::Absent };
        self.envelope(true, vec![choice], usage)
    }

    /// The last piece of a stream whose client wants the usage.
    pub(in crate::serve) fn usage_piece(&self, usage: Usage) -> String {
        self.envelope::<ChoiceJson<'_>>(true, Vec::new(), UsageField::Told(usage.into()))
    }

    /// The whole answer; the choices with their texts and ends stand in order.
    pub(in crate::serve) fn whole(&self, choices: &[(String, Option<Finish>)], usage: Usage) -> String {
        let choices = choices.iter().enumerate().map(|(index, (text, finish))| {
            let chat = self.endpoint == Endpoint::Chat;
            let message = MessageJson { role: Some("assistant"), content: text };
            ChoiceJson {
                index,
                text: (!chat).then_some(text),
                message: chat.then_some(message),
                delta: None,
                logprobs: None,
                finish_reason: finish.map(Finish::name),
            }
        });
        self.envelope(false, choices.collect(), UsageField::Told(usage.into()))
    }

    fn envelope<C: Serialize>(&self, piece: bool, choices: Vec<C>, usage: UsageField) -> String {
        let object = match self.endpoint {
            Endpoint::Completion => "text_completion",
            Endpoint::Chat if piece => "chat.completion.chunk",
            Endpoint::Chat => "chat.completion",
        };
        let envelope = Envelope { id: &self.id, object, created: self.created, model: &self.model, choices, usage };
        // Texts and numbers alone: nothing here can fail to be JSON.
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}
