//! What is to become tokens: prompts, or messages by way of the model's chat template.

use std::sync::Arc;

use super::error::ApiError;
use super::messages::Message;
use super::prompt::Prompt;
use super::wire::Wire;
use crate::model::ChatMessage;
use crate::serve::ServedModel;

/// What a prompt or a message costs beside its text, in bytes of text that cost as much.
const EACH: usize = 64;

/// One prompt before it is tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Prompt(Prompt),
    Chat(Vec<ChatMessage>),
}

/// Text that is to become tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Text {
    sources: Vec<Source>,
    add_special: bool,
}

impl Text {
    /// Reads the body of `/tokenize`: one prompt, or messages. The model may be left out.
    pub(in crate::serve) fn read(body: &[u8], served: &ServedModel) -> Result<Self, ApiError> {
        let mut wire = Wire::read(body, served.context_tokens)?;
        if let Some(model) = wire.model.as_ref().filter(|&model| *model != served.name) {
            return Err(ApiError::no_model(model, &served.name));
        }
        let text = if wire.messages.is_some() { Self::of_messages(&mut wire)? } else { Self::of_prompt(&mut wire)? };
        match text.sources.as_slice() {
            [_] => Ok(text),
            _ => Err(ApiError::field("prompt", "`prompt` has to be one text")),
        }
    }

    /// How many prompts there are.
    pub(super) fn len(&self) -> usize {
        self.sources.len()
    }

    /// How much work it is to make tokens of all of it: bytes of text to be encoded, or what costs as much.
    pub(super) fn work(&self) -> usize {
        self.sources.iter().map(|source| EACH + source.work()).sum()
    }

    /// The tokens of each prompt. A text that cannot fit the context is refused before it is encoded.
    pub(in crate::serve) fn tokens(&self, model: &ServedModel) -> impl Iterator<Item = Result<Arc<[u32]>, ApiError>> {
        self.sources.iter().map(|source| source.tokens(model, self.add_special))
    }

    pub(super) fn of_prompt(wire: &mut Wire) -> Result<Self, ApiError> {
        let prompts = wire.prompt.take().ok_or_else(|| ApiError::field("prompt", "`prompt` is missing"))?;
        let sources = prompts.0.into_iter().map(Source::Prompt).collect();
        Ok(Self { sources, add_special: wire.add_special_tokens.unwrap_or(true) })
    }

    pub(super) fn of_messages(wire: &mut Wire) -> Result<Self, ApiError> {
        let messages = wire.messages.take().ok_or_else(|| ApiError::field("messages", "`messages` is missing"))?;
        if messages.is_empty() {
            return Err(ApiError::field("messages", "`messages` is empty"));
        }
        let known = |role: &str| ["system", "developer", "user", "assistant", "tool"].contains(&role);
        if let Some((index, _)) = messages.iter().enumerate().find(|(_, message)| !known(&message.role)) {
            let allowed = "one of system, developer, user, assistant, tool";
            return Err(ApiError::field(format!("messages[{index}].role"), format!("a role has to be {allowed}")));
        }
        let message = |Message { role, content }| ChatMessage { role, content: content.0 };
        let chat = messages.into_iter().map(message).collect();
        // The template writes the special tokens itself.
        Ok(Self { sources: vec![Source::Chat(chat)], add_special: wire.add_special_tokens.unwrap_or(false) })
    }
}

impl Source {
    fn work(&self) -> usize {
        match self {
            Self::Prompt(Prompt::Tokens(tokens)) => size_of_val(tokens.as_slice()),
            Self::Prompt(Prompt::Text(text)) => text.len(),
            Self::Chat(messages) => {
                // The template goes through every message, however short it is.
                messages.iter().map(|message| EACH + message.role.len() + message.content.len()).sum()
            }
        }
    }

    fn tokens(&self, model: &ServedModel, add_special: bool) -> Result<Arc<[u32]>, ApiError> {
        let context = model.context_tokens;
        let encode = |text: &str, param: &str| {
            if text.len().div_ceil(model.text.tokenizer.longest_token()) > context as usize {
                let message = format!("the prompt has {} bytes, more than the context of {context} tokens", text.len());
                return Err(ApiError::too_long(param, message));
            }
            let tokens = model.text.tokenizer.encode(text, add_special);
            tokens.map(Arc::from).map_err(|error| ApiError::field(param, error.to_string()))
        };
        match self {
            Self::Prompt(Prompt::Tokens(tokens)) if tokens.len() > context as usize => {
                let message = format!("the prompt has {} tokens, the context {context}", tokens.len());
                Err(ApiError::too_long("prompt", message))
            }
            Self::Prompt(Prompt::Tokens(tokens)) => Ok(Arc::from(tokens.as_slice())),
            Self::Prompt(Prompt::Text(text)) => encode(text, "prompt"),
            Self::Chat(messages) => {
                let template = model.text.chat_template.as_ref().ok_or_else(|| {
                    ApiError::invalid("the model has no chat template, ask /v1/completions for plain completions")
                })?;
                let text = template.render(messages).map_err(|error| ApiError::field("messages", error.to_string()))?;
                encode(&text, "messages")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work(body: &str) -> usize {
        let mut wire = Wire::read(body.as_bytes(), 1_000_000).expect("a body");
        let text = if wire.messages.is_some() { Text::of_messages(&mut wire) } else { Text::of_prompt(&mut wire) };
        text.expect("a text").work()
    }

    #[test]
    fn whatever_a_body_is_full_of_is_work() {
        const LEAST: usize = 10_000;
        let list = |one: &str| vec![one; LEAST].join(",");
        for body in [
            format!(r#"{{"messages": [{}]}}"#, list(r#"{"role": "user"}"#)),
            format!(r#"{{"messages": [{{"role": "user", "content": "{}"}}]}}"#, "x".repeat(LEAST)),
            format!(r#"{{"prompt": [{}]}}"#, list("1")),
            format!(r#"{{"prompt": [[{}]]}}"#, list("1")),
            format!(r#"{{"prompt": "{}"}}"#, "x".repeat(LEAST)),
            format!(r#"{{"prompt": [{}]}}"#, vec![r#""""#; 1000].join(",")),
        ] {
            assert!(work(&body) >= LEAST, "{} for {} bytes", work(&body), body.len());
        }
        assert!(work(r#"{"messages": [{"role": "user", "content": "hi"}]}"#) < 500);
    }
}
