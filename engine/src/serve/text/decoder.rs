//! Tokens to text, one by one.

use std::sync::Arc;

use crate::model::ModelText;

/// Tokens that are held back at most while their text is not settled. No character is spread over as many; only text that
/// is no UTF-8 at all gets here, and then goes out as it is.
const HELD: usize = 8;

/// Decodes tokens so that the pieces put together are the text of all.
///
/// A tokenizer's text of a token depends on its neighbours (the space before a word, a character spread over several
/// tokens), so what is decoded is a window: the tokens whose text went out last, and those whose text is not settled yet.
#[derive(Debug)]
pub(super) struct Decoder {
    model: Arc<ModelText>,
    window: Vec<u32>,
    /// How many tokens of the window have gone out.
    out: usize,
}

impl Decoder {
    pub(super) fn new(model: Arc<ModelText>) -> Self {
        Self { model, window: Vec::new(), out: 0 }
    }

    /// Takes a token and appends to `text` what is settled now, often nothing.
    pub(super) fn push(&mut self, token: u32, text: &mut String) {
        self.window.push(token);
        let (before, all) = (self.decode(..self.out), self.decode(..));
        let unsettled = all.len() <= before.len() || all.ends_with(char::REPLACEMENT_CHARACTER);
        if unsettled && self.window.len() - self.out < HELD {
            return;
        }
        self.release(&before, &all, text);
    }

    /// No more tokens come: what was held back goes out as it is.
    pub(super) fn finish(&mut self, text: &mut String) {
        if self.window.len() > self.out {
            let (before, all) = (self.decode(..self.out), self.decode(..));
            self.release(&before, &all, text);
        }
    }

    fn release(&mut self, before: &str, all: &str, text: &mut String) {
        match all.strip_prefix(before) {
            Some(new) => text.push_str(new),
            // The new tokens changed how those before them read, which has gone out already.
            None => text.push_str(&self.decode(self.out..)),
        }
        self.window.drain(..self.out);
        self.out = self.window.len();
    }

    /// Tokens without any text, such as ids that the tokenizer does not know, are as good as none.
    fn decode(&self, part: impl std::slice::SliceIndex<[u32], Output = [u32]>) -> String {
        self.window.get(part).and_then(|ids| self.model.tokenizer.decode(ids).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Tokenizer;

    fn bytes() -> Arc<ModelText> {
        Arc::new(ModelText { tokenizer: Tokenizer::bytes(300), chat_template: None, eos: Vec::new() })
    }

    fn pieces(ids: &[u32]) -> Vec<String> {
        let mut decoder = Decoder::new(bytes());
        let mut pieces: Vec<String> = ids
            .iter()
            .map(|&id| {
                let mut text = String::new();
                decoder.push(id, &mut text);
                text
            })
            .collect();
        let mut last = String::new();
        decoder.finish(&mut last);
        pieces.push(last);
        pieces
    }

    #[test]
    fn a_character_goes_out_whole() {
        let ids: Vec<u32> = "a世!".bytes().map(u32::from).collect();
        assert_eq!(pieces(&ids), ["a", "", "", "世", "!", ""]);
    }

    #[test]
    fn what_is_no_text_goes_out_in_the_end() {
        assert_eq!(pieces(&[0xE4, 0xB8]), ["", "", "\u{FFFD}"]);
        let endless = pieces(&[0xFF; 20]);
        assert!(endless[HELD - 1].len() == 3 * HELD, "{endless:?}");
        assert_eq!(endless.concat().chars().count(), 20);
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in "\\PC{0,40}", names in prop::collection::vec(256_u32..300, 0..3)) {
            let mut ids: Vec<u32> = text.bytes().map(u32::from).collect();
            ids.extend(names);
            prop_assert_eq!(pieces(&ids).concat(), bytes().tokenizer.decode(&ids).expect("text"));
        }

        #[test]
        fn any_bytes_decode_without_end_or_panic(ids in prop::collection::vec(0_u32..300, 0..60)) {
            prop_assert_eq!(pieces(&ids).len(), ids.len() + 1);
        }
    }
}
