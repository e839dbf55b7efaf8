//! How likely tokens were, in the shapes of completions and of chats.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::ask::Endpoint;
use crate::executor::Logprobs;
use crate::model::ModelText;

/// Instead of minus infinity, for which JSON has no number; as in vLLM.
const LEAST: f32 = -9999.0;

/// A token of an answer, and how likely it was where that is known.
pub(super) type Told = (u32, Option<Arc<Logprobs>>);

/// The log-probabilities of some tokens of a choice.
#[derive(serde::Serialize)]
#[serde(untagged)]
pub(super) enum LogprobsJson {
    Completion {
        text_offset: Vec<usize>,
        token_logprobs: Vec<Option<f32>>,
        tokens: Vec<String>,
        top_logprobs: Vec<Option<Top>>,
    },
    Chat {
        content: Vec<Spoken>,
    },
}

/// A token of a chat.
#[derive(serde::Serialize)]
pub(super) struct Spoken {
    #[serde(flatten)]
    token: Named,
    top_logprobs: Vec<Named>,
}

#[derive(serde::Serialize)]
struct Named {
    token: String,
    logprob: f32,
    bytes: Vec<u8>,
}

/// The likeliest tokens of a completion, by their texts.
pub(super) struct Top(Vec<(String, f32)>);

impl Serialize for Top {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (index, (text, logprob)) in self.0.iter().enumerate() {
            // Parts of a character read alike: the likeliest has the name.
            if !self.0.iter().take(index).any(|(other, _)| other == text) {
                map.serialize_entry(text, logprob)?;
            }
        }
        map.end()
    }
}

impl LogprobsJson {
    /// Of `tokens`, which begin `offset` characters after the begin of the answer. Returns where they end, too.
    pub(super) fn new(endpoint: Endpoint, text: &ModelText, tokens: &[Told], offset: usize) -> (Self, usize) {
        match endpoint {
            Endpoint::Completion => Self::completion(text, tokens, offset),
            Endpoint::Chat => (Self::Chat { content: tokens.iter().map(|told| spoken(text, told)).collect() }, offset),
        }
    }

    fn completion(text: &ModelText, told: &[Told], mut offset: usize) -> (Self, usize) {
        let (mut text_offset, mut token_logprobs) = (Vec::with_capacity(told.len()), Vec::with_capacity(told.len()));
        let (mut tokens, mut top_logprobs) = (Vec::with_capacity(told.len()), Vec::with_capacity(told.len()));
        for (id, logprobs) in told {
            let name = name(text, *id);
            text_offset.push(offset);
            offset += name.chars().count();
            token_logprobs.push(logprobs.as_ref().map(|known| known.chosen.max(LEAST)));
            top_logprobs.push(logprobs.as_ref().map(|known| {
                let likeliest = known.likeliest.iter().map(|&(id, logprob)| (self::name(text, id), logprob.max(LEAST)));
                // The token itself is always there, as OpenAI has it.
                Top(likeliest.chain([(name.clone(), known.chosen.max(LEAST))]).collect())
            }));
            tokens.push(name);
        }
        (Self::Completion { text_offset, token_logprobs, tokens, top_logprobs }, offset)
    }
}

fn spoken(text: &ModelText, (id, logprobs): &Told) -> Spoken {
    let chosen = logprobs.as_ref().map_or(LEAST, |known| known.chosen);
    let likeliest = logprobs.as_ref().map(|known| known.likeliest.as_slice()).unwrap_or_default();
    Spoken {
        token: named(text, *id, chosen),
        top_logprobs: likeliest.iter().map(|&(id, logprob)| named(text, id, logprob)).collect(),
    }
}

fn named(text: &ModelText, id: u32, logprob: f32) -> Named {
    let token = name(text, id);
    Named { bytes: token.as_bytes().to_vec(), logprob: logprob.max(LEAST), token }
}

/// The text of one token alone; a special one has none but its name.
fn name(text: &ModelText, id: u32) -> String {
    let decoded = text.tokenizer.decode(&[id]).unwrap_or_default();
    if decoded.is_empty() { text.tokenizer.token(id).unwrap_or_default() } else { decoded }
}
