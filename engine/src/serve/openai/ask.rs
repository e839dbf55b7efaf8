//! What a body asks for, checked, and what that is in tokens.

use std::sync::Arc;

use super::error::ApiError;
use super::outline::Outline;
use super::text::Text;
use super::wire::Wire;
use crate::executor::Sampling;
use crate::model::counter;
use crate::serve::ServedModel;
use crate::serve::hub::Generation;
use crate::serve::text::Until;

/// Answers to one prompt at most.
const N: i64 = 128;
/// Bytes of one stop string at most: as much text may be held back.
const STOP_BYTES: usize = 1024;
/// Tokens at most that are told beside each token of an answer; as in vLLM.
const LOGPROBS: i64 = 20;
/// Tokens of a completion that does not say; as in OpenAI and vLLM.
const COMPLETION_TOKENS: u32 = 16;

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Endpoint {
    /// `/v1/completions`.
    Completion,
    /// `/v1/chat/completions`.
    Chat,
}

/// A checked request for answers.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::serve) struct Ask {
    text: Text,
    endpoint: Endpoint,
    n: u32,
    max_tokens: Option<u32>,
    min_tokens: u32,
    ignore_eos: bool,
    temperature: f32,
    top_p: f32,
    seed: Option<u64>,
    stop_texts: Vec<String>,
    stop_tokens: Vec<u32>,
    return_token_ids: bool,
    logprobs: Option<u8>,
    /// How the answer is streamed, if it is.
    pub(in crate::serve) stream: Option<Streaming>,
}

/// What a stream tells beside the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Streaming {
    /// How many tokens the request took, in the end.
    pub(in crate::serve) usage: bool,
    /// The same with every piece, as far as it has come.
    pub(in crate::serve) continuous: bool,
}

/// A request in tokens, ready to be submitted.
#[derive(Debug)]
pub(in crate::serve) struct Planned {
    /// One for each answer; those of one prompt stand together.
    pub(in crate::serve) generations: Vec<Generation>,
    /// Where each of them ends.
    pub(in crate::serve) untils: Vec<Until>,
    /// Whether the engine ends answers at stop tokens by itself.
    pub(in crate::serve) engine_stops: bool,
    /// Tokens of all prompts.
    pub(in crate::serve) prompt_tokens: u64,
    /// The prompt of each answer, where the client wants to see token ids.
    pub(in crate::serve) prompts: Option<Vec<Arc<[u32]>>>,
}

impl Planned {
    /// Log-probabilities that the answers may have together: of each token, its own and those beside it.
    pub(in crate::serve) fn logprobs(&self) -> u64 {
        let of = |one: &Generation| Some(u64::from(one.output_tokens) * (u64::from(one.logprobs?) + 1));
        self.generations.iter().filter_map(of).fold(0, u64::saturating_add)
    }
}

impl Ask {
    /// Reads and checks a body.
    pub(in crate::serve) fn read(endpoint: Endpoint, body: &[u8], served: &ServedModel) -> Result<Self, ApiError> {
        let mut wire = Wire::read(body, served.context_tokens)?;
        match &wire.model {
            None => return Err(ApiError::field("model", "`model` is missing")),
            Some(model) if *model != served.name => return Err(ApiError::no_model(model, &served.name)),
            Some(_) => {}
        }
        let text = match endpoint {
            Endpoint::Completion => Text::of_prompt(&mut wire)?,
            Endpoint::Chat => Text::of_messages(&mut wire)?,
        };
        let max_tokens = whole("max_completion_tokens", wire.max_completion_tokens, 1, i64::from(u32::MAX))?;
        let max_tokens = max_tokens.or(whole("max_tokens", wire.max_tokens, 1, i64::from(u32::MAX))?);
        let stream = wire.stream.unwrap_or(false).then(|| {
            let options = wire.stream_options.take().unwrap_or_default();
            let usage = options.include_usage.unwrap_or(false);
            Streaming { usage, continuous: usage && options.continuous_usage_stats.unwrap_or(false) }
        });
        if wire.stream_options.is_some() {
            return Err(ApiError::field("stream_options", "`stream_options` is only for `stream: true`"));
        }
        let stop_texts = wire.stop.take().unwrap_or_default().0;
        if stop_texts.iter().any(|stop| stop.is_empty() || stop.len() > STOP_BYTES) {
            return Err(ApiError::field("stop", format!("a stop string has 1 to {STOP_BYTES} bytes")));
        }
        let stop_tokens = wire.stop_token_ids.take().unwrap_or_default();
        if stop_tokens.len() > Generation::STOP_TOKENS {
            let message = format!("more than {} stop tokens", Generation::STOP_TOKENS);
            return Err(ApiError::field("stop_token_ids", message));
        }
        Ok(Self {
            text,
            endpoint,
            n: whole("n", wire.n, 1, N)?.unwrap_or(1),
            max_tokens,
            min_tokens: whole("min_tokens", wire.min_tokens, 0, i64::from(u32::MAX))?.unwrap_or(0),
            ignore_eos: wire.ignore_eos.unwrap_or(false),
            temperature: number("temperature", wire.temperature, 0.0..=f64::from(Generation::HOTTEST))?.unwrap_or(1.0),
            top_p: number("top_p", wire.top_p, f64::from(f32::MIN_POSITIVE)..=1.0)?.unwrap_or(1.0),
            seed: wire.seed.map(i64::cast_unsigned),
            stop_texts,
            stop_tokens,
            logprobs: logprobs(endpoint, &wire)?,
            return_token_ids: wire.return_token_ids.unwrap_or(false),
            stream,
        })
    }

    /// How many answers each prompt gets.
    pub(in crate::serve) fn n(&self) -> usize {
        self.n as usize
    }

    /// Whether the client wants to know how likely tokens were.
    pub(in crate::serve) fn logprobs(&self) -> bool {
        self.logprobs.is_some()
    }

    /// How much work it is to plan it, in bytes of text that have to be encoded.
    pub(in crate::serve) fn work(&self) -> usize {
        self.text.work()
    }

    /// How many answers there will be.
    pub(in crate::serve) fn answers(&self) -> usize {
        self.text.len() * self.n as usize
    }

    /// Turns it into tokens. `seed` decides for a request that has none of its own.
    pub(in crate::serve) fn plan(self, model: &ServedModel, seed: u64) -> Result<Planned, ApiError> {
        let mut stop = self.stop_tokens;
        if !self.ignore_eos {
            stop.extend_from_slice(&model.text.eos);
        }
        let stop: Arc<[u32]> = stop.into();
        let engine_stops = self.min_tokens == 0;
        let prompts = self.return_token_ids.then(Vec::new);
        let mut planned =
            Planned { generations: Vec::new(), untils: Vec::new(), engine_stops, prompt_tokens: 0, prompts };
        for (prompt, at) in self.text.tokens(model).zip(0_u64..) {
            let prompt = prompt?;
            let tokens = answer_tokens(self.endpoint, prompt.len(), self.max_tokens, model.context_tokens)?;
            if self.min_tokens > tokens {
                let message = format!("`min_tokens` is {}, but the answer ends after {tokens}", self.min_tokens);
                return Err(ApiError::field("min_tokens", message));
            }
            planned.prompt_tokens += prompt.len() as u64;
            // Prompts without a seed of their own are drawn for independently; answers to one prompt have seeds in a row.
            let first = self.seed.unwrap_or_else(|| counter::stream(seed, at));
            for index in 0..self.n {
                let seed = first.wrapping_add(u64::from(index));
                let sampling = if self.temperature > 0.0 {
                    Sampling::TopP { temperature: self.temperature, top_p: self.top_p, seed }
                } else {
                    Sampling::Greedy
                };
                let stop_in_engine = if engine_stops { Arc::clone(&stop) } else { Arc::default() };
                let prompt = Arc::clone(&prompt);
                if let Some(prompts) = &mut planned.prompts {
                    prompts.push(Arc::clone(&prompt));
                }
                planned.generations.push(Generation {
                    prompt,
                    output_tokens: tokens,
                    sampling,
                    stop: stop_in_engine,
                    logprobs: self.logprobs,
                });
                planned.untils.push(Until {
                    tokens,
                    stop_tokens: Arc::clone(&stop),
                    stop_texts: self.stop_texts.clone(),
                    min_tokens: self.min_tokens,
                });
            }
        }
        Ok(planned)
    }
}

/// What is to be told beside each token: a number for completions, a flag and a number for chats.
fn logprobs(endpoint: Endpoint, wire: &Wire) -> Result<Option<u8>, ApiError> {
    let most = |most: Option<u32>| most.and_then(|most| u8::try_from(most).ok()).unwrap_or(0);
    let top = whole("top_logprobs", wire.top_logprobs, 0, LOGPROBS)?;
    match (endpoint, &wire.logprobs) {
        (Endpoint::Completion, None | Some(Outline::Nothing)) => Ok(None),
        (Endpoint::Completion, Some(Outline::Number(number))) if number.fract() == 0.0 => {
            Ok(Some(most(whole("logprobs", Some(*number as i64), 0, LOGPROBS)?)))
        }
        (Endpoint::Completion, Some(_)) => Err(ApiError::field("logprobs", "`logprobs` has to be a whole number")),
        (Endpoint::Chat, Some(Outline::Flag(true))) => Ok(Some(most(top))),
        (Endpoint::Chat, None | Some(Outline::Nothing | Outline::Flag(false))) if most(top) == 0 => Ok(None),
        (Endpoint::Chat, None | Some(Outline::Nothing | Outline::Flag(false))) => {
            Err(ApiError::field("top_logprobs", "`top_logprobs` is only for `logprobs: true`"))
        }
        (Endpoint::Chat, Some(_)) => Err(ApiError::field("logprobs", "`logprobs` has to be true or false")),
    }
}

/// Tokens that the answer to a prompt of `prompt` tokens may have.
fn answer_tokens(endpoint: Endpoint, prompt: usize, asked: Option<u32>, context: u32) -> Result<u32, ApiError> {
    let param = match endpoint {
        Endpoint::Completion => "prompt",
        Endpoint::Chat => "messages",
    };
    if prompt == 0 {
        return Err(ApiError::field(param, "the prompt has no token"));
    }
    let left = u32::try_from(prompt).ok().and_then(|prompt| context.checked_sub(prompt)).filter(|&left| left > 0);
    let left = left.ok_or_else(|| {
        let message = format!("the prompt has {prompt} tokens, the context {context}, and an answer needs at least 1");
        ApiError::too_long(param, message)
    })?;
    match asked {
        Some(asked) if asked > left => {
            let message = format!("{prompt} prompt tokens and {asked} answer tokens exceed the context of {context}");
            Err(ApiError::too_long("max_tokens", message))
        }
        Some(asked) => Ok(asked),
        None if endpoint == Endpoint::Completion => Ok(left.min(COMPLETION_TOKENS)),
        None => Ok(left),
    }
}

fn whole(name: &str, value: Option<i64>, least: i64, most: i64) -> Result<Option<u32>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    match u32::try_from(value) {
        Ok(fine) if (least..=most).contains(&value) => Ok(Some(fine)),
        _ => Err(ApiError::field(name, format!("`{name}` is {value}, allowed are {least} to {most}"))),
    }
}

fn number(name: &str, value: Option<f64>, allowed: std::ops::RangeInclusive<f64>) -> Result<Option<f32>, ApiError> {
    match value {
        None => Ok(None),
        Some(value) if allowed.contains(&value) => Ok(Some(value as f32)),
        Some(value) => {
            let above = if *allowed.start() > 0.0 { "above 0" } else { "0" };
            let message = format!("`{name}` is {value}, allowed are {above} to {}", allowed.end());
            Err(ApiError::field(name, message))
        }
    }
}
