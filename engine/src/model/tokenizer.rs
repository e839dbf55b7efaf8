//! Text to token ids and back.

use std::path::Path;

use candle_core::quantized::gguf_file::Content;
use candle_core::quantized::tokenizer::TokenizerFromGguf;

use super::error::ModelError;

/// Bytes of text that any token may stand for: a tokenizer may have one for every word that it does not know, and may
/// write text in fewer bytes before it splits it.
const WORD: usize = 64;

/// A model's tokenizer.
pub struct Tokenizer(Kind);

enum Kind {
    /// From `tokenizer.json` or GGUF.
    Text { tokenizer: Box<tokenizers::Tokenizer>, longest: usize },
    /// The built-in model's: one id a byte, and names for the ids beyond.
    Bytes { vocab: u32 },
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({} ids)", self.vocab())
    }
}

impl Tokenizer {
    /// The tokenizer of the built-in model: a byte of UTF-8 is the id of the same number.
    pub fn bytes(vocab: u32) -> Self {
        Self(Kind::Bytes { vocab })
    }

    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// When the file cannot be read or is not a tokenizer.
    pub fn from_file(path: &Path) -> Result<Self, ModelError> {
        let bytes = std::fs::read(path).map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
        let tokenizer = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| ModelError::Malformed {
            path: path.to_owned(),
            format: "tokenizer file",
            why: error.to_string(),
        })?;
        Ok(Self::text(tokenizer))
    }

    /// Reads the tokenizer that is part of a GGUF file.
    ///
    /// # Errors
    /// When the file has none, or one of a kind other than byte-level BPE.
    pub(super) fn from_gguf(content: &Content) -> Result<Self, ModelError> {
        let tokenizer = tokenizers::Tokenizer::from_gguf(content)
            .map_err(|error| ModelError::Tokenizer(super::error::one_line(&error)))?;
        Ok(Self::text(tokenizer))
    }

    fn text(tokenizer: tokenizers::Tokenizer) -> Self {
        // However a vocabulary writes the bytes of a token, it takes no fewer bytes for it.
        let longest = tokenizer.get_vocab(true).keys().map(String::len).fold(WORD, usize::max);
        Self(Kind::Text { tokenizer: Box::new(tokenizer), longest })
    }

    /// Bytes of text that one token stands for at most: a longer text than that for each token of a context cannot fit it,
    /// which is known without encoding it.
    pub fn longest_token(&self) -> usize {
        match &self.0 {
            Kind::Text { longest, .. } => *longest,
            Kind::Bytes { .. } => 1,
        }
    }

    /// How many ids there are, special ones included.
    pub fn vocab(&self) -> u32 {
        match &self.0 {
            Kind::Text { tokenizer, .. } => tokenizer.get_vocab_size(true) as u32,
            Kind::Bytes { vocab } => *vocab,
        }
    }

    /// The ids of `text`. Special tokens written out in the text (as a chat template does) become their ids;
    /// `add_special` adds those that the model wants around every plain text.
    ///
    /// # Errors
    /// When the text cannot be encoded.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, ModelError> {
        match &self.0 {
            Kind::Text { tokenizer, .. } => tokenizer
                .encode(text, add_special)
                .map(|encoding| encoding.get_ids().to_vec())
                .map_err(|error| ModelError::Tokenizer(error.to_string())),
            Kind::Bytes { .. } => Ok(text.bytes().map(u32::from).collect()),
        }
    }

    /// The text of `ids`, without special tokens.
    ///
    /// # Errors
    /// When the ids cannot be decoded.
    pub fn decode(&self, ids: &[u32]) -> Result<String, ModelError> {
        match &self.0 {
            Kind::Text { tokenizer, .. } => {
                tokenizer.decode(ids, true).map_err(|error| ModelError::Tokenizer(error.to_string()))
            }
            Kind::Bytes { .. } => Ok(decode_bytes(ids)),
        }
    }

    /// The text of one id as the vocabulary writes it.
    pub fn token(&self, id: u32) -> Option<String> {
        match &self.0 {
            Kind::Text { tokenizer, .. } => tokenizer.id_to_token(id),
            Kind::Bytes { vocab } => (id < *vocab).then(|| decode_bytes(&[id])),
        }
    }
}

/// Bytes become UTF-8 again; an id beyond the bytes is written as its number in angle brackets.
fn decode_bytes(ids: &[u32]) -> String {
    let mut text = Vec::with_capacity(ids.len());
    for &id in ids {
        match u8::try_from(id) {
            Ok(byte) => text.push(byte),
            Err(_) => text.extend_from_slice(format!("<{id}>").as_bytes()),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_the_same_text() {
        let tokenizer = Tokenizer::bytes(8192);
        let ids = tokenizer.encode("Grüße, 世界", true).expect("ids");
        assert_eq!(tokenizer.decode(&ids).expect("text"), "Grüße, 世界");
        assert_eq!(tokenizer.decode(&[104, 105, 7000]).expect("text"), "hi<7000>");
        assert_eq!((tokenizer.token(8191).as_deref(), tokenizer.token(8192)), (Some("<8191>"), None));
    }
}
