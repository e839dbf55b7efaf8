//! The messages of a conversation. Counted while they are read, so that a body full of empty ones does not become many times
//! its size in memory, nor keep the chat template busy.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};

use super::content::Content;

/// A message of a conversation.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) role: String,
    #[serde(default)]
    pub(super) content: Content,
}

/// Reads a list of messages, or `null`.
pub(super) struct Messages {
    /// Tokens of the context: of every message, its role at least is to be told to the model.
    pub(super) context: u32,
}

impl<'de> DeserializeSeed<'de> for Messages {
    type Value = Option<Vec<Message>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Messages {
    type Value = Option<Vec<Message>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = list.next_element()? {
            if messages.len() >= self.context as usize {
                return Err(A::Error::custom(format_args!(
                    "more messages than the {} tokens of the context",
                    self.context
                )));
            }
            messages.push(message);
        }
        Ok(Some(messages))
    }
}
