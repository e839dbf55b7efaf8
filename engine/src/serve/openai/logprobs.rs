//! How likely tokens were, in the shapes of completions and of chats.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

use super::ask::Endpoint;
use crate::executor::Logprobs;
use crate::model::ModelText;

/// Instead of minus infinity, for which JSON has no number; as in vLLM.
const LEAST: f32 = -9999.0;

/// A token of an answer, and how likely it was where that is known.
pub(super) type Told = (u32, Option<Arc<Logprobs>>);

/// The log-probabilities of some tokens of a choice, written as they are gone through: as JSON they take many times the memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogprobsJson<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) text: &'a ModelText,
    pub(super) tokens: &'a [Told],
    /// Characters of the answer's tokens before these.
    pub(super) offset: usize,
}

impl LogprobsJson<'_> {
    /// Where the tokens end, in characters, where anybody is told.
    pub(super) fn end(&self) -> usize {
        match self.endpoint {
            Endpoint::Completion => {
                self.offset + self.tokens.iter().map(|(id, _)| characters(self.text, *id)).sum::<usize>()
            }
            Endpoint::Chat => self.offset,
        }
    }
}

impl Serialize for LogprobsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { endpoint, text, tokens, offset } = *self;
        match endpoint {
            Endpoint::Completion => {
                let mut map = serializer.serialize_struct("Logprobs", 4)?;
                let offsets = tokens.iter().scan(offset, |offset, (id, _)| {
                    let at = *offset;
                    *offset += characters(text, *id);
                    Some(at)
                });
                map.serialize_field("text_offset", &Each(offsets))?;
                let chosen = tokens.iter().map(|(_, known)| known.as_ref().map(|known| known.chosen.max(LEAST)));
                map.serialize_field("token_logprobs", &Each(chosen))?;
                map.serialize_field("tokens", &Each(tokens.iter().map(|(id, _)| name(text, *id))))?;
                let top = tokens.iter().map(|(id, known)| Some(Top { text, id: *id, known: known.as_ref()? }));
                map.serialize_field("top_logprobs", &Each(top))?;
                map.end()
            }
            Endpoint::Chat => {
                let mut map = serializer.serialize_struct("Logprobs", 1)?;
                map.serialize_field("content", &Each(tokens.iter().map(|told| Spoken { text, told })))?;
                map.end()
            }
        }
    }
}

/// A list that is made while it is written.
struct Each<I>(I);

impl<I: Iterator<Item: Serialize> + Clone> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// The likeliest tokens of a completion, by their texts.
#[derive(Clone, Copy)]
struct Top<'a> {
    text: &'a ModelText,
    id: u32,
    known: &'a Logprobs,
}

impl Serialize for Top<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { text, id, known } = *self;
        let mut map = serializer.serialize_map(None)?;
        let mut told: Vec<String> = Vec::with_capacity(known.likeliest.len() + 1);
        // The token itself is always there, as OpenAI has it.
        for &(id, logprob) in known.likeliest.iter().chain([&(id, known.chosen)]) {
            let name = name(text, id);
            // Parts of a character read alike: the likeliest has the name.
            if !told.contains(&name) {
                map.serialize_entry(&name, &logprob.max(LEAST))?;
                told.push(name);
            }
        }
        map.end()
    }
}

/// A token of a chat.
#[derive(Clone, Copy)]
struct Spoken<'a> {
    text: &'a ModelText,
    told: &'a Told,
}

impl Serialize for Spoken<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { text, told: (id, known) } = *self;
        let likeliest = known.as_ref().map(|known| known.likeliest.as_slice()).unwrap_or_default();
        let mut map = serializer.serialize_struct("Token", 4)?;
        Named::new(text, *id, known.as_ref().map_or(LEAST, |known| known.chosen)).write(&mut map)?;
        let top = likeliest.iter().map(|&(id, logprob)| Named::new(text, id, logprob));
        map.serialize_field("top_logprobs", &Each(top))?;
        map.end()
    }
}

/// A token by its text, and how likely it was.
struct Named {
    token: String,
    logprob: f32,
}

impl Named {
    fn new(text: &ModelText, id: u32, logprob: f32) -> Self {
        Self { token: name(text, id), logprob: logprob.max(LEAST) }
    }

    fn write<M: SerializeStruct>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_field("token", &self.token)?;
        map.serialize_field("logprob", &self.logprob)?;
        map.serialize_field("bytes", self.token.as_bytes())
    }
}

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_struct("Token", 3)?;
        self.write(&mut map)?;
        map.end()
    }
}

fn characters(text: &ModelText, id: u32) -> usize {
    name(text, id).chars().count()
}

/// The text of one token alone; a special one has none but its name.
fn name(text: &ModelText, id: u32) -> String {
    let decoded = text.tokenizer.decode(&[id]).unwrap_or_default();
    if decoded.is_empty() { text.tokenizer.token(id).unwrap_or_default() } else { decoded }
}
