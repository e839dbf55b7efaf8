//! Tokens to text, one by one.

use std::sync::Arc;

use crate::model::ModelText;

/// Tokens after which text is taken for settled that could still change. No character is spread over as many; only what is
/// no UTF-8 at all comes this far.
const HELD: usize = 8;
/// Tokens of a window at most.
const WINDOW: usize = 64;

/// Decodes tokens so that the pieces put together are the text of all.
///
/// A tokenizer's text of a token depends on its neighbours (the space before a word, a character spread over several
/// tokens), so what is decoded is a window: the tokens whose text went out last, and those whose text is not settled yet.
#[derive(Debug)]
pub(super) struct Decoder {
    model: Arc<ModelText>,
    window: Vec<u32>,
    /// The text of the window that has gone out.
    said: String,
    /// Tokens at the end of the window that came after everything was settled.
    fresh: usize,
}

impl Decoder {
    pub(super) fn new(model: Arc<ModelText>) -> Self {
        Self { model, window: Vec::new(), said: String::new(), fresh: 0 }
    }

    /// Takes a token and appends to `text` what is settled now, often nothing.
    pub(super) fn push(&mut self, token: u32, text: &mut String) {
        self.window.push(token);
        self.fresh += 1;
        let all = self.decode(..);
        let patient = self.fresh < HELD && self.window.len() < WINDOW;
        // An unfinished character reads as one replacement, or as one for each of its bytes.
        let settled = match all.strip_suffix(char::REPLACEMENT_CHARACTER) {
            Some(_) if patient => all.trim_end_matches(char::REPLACEMENT_CHARACTER),
            Some(settled) if self.window.len() < WINDOW => settled,
            _ => &all,
        };
        let grew = settled.len() > self.said.len();
        if grew {
            self.say(settled, text);
        }
        if settled.len() == all.len() && (grew || !patient) {
            // The tokens that settled it are what the next ones are decoded beside.
            self.cut(self.window.len() - self.fresh);
            self.fresh = 0;
        } else if !patient {
            self.forget(&all);
        }
    }

    /// No more tokens come: what was held back goes out as it is.
    pub(super) fn finish(&mut self, text: &mut String) {
        let all = self.decode(..);
        if all.len() > self.said.len() {
            self.say(&all, text);
        }
    }

    fn say(&mut self, settled: &str, text: &mut String) {
        match settled.strip_prefix(self.said.as_str()) {
            Some(new) => text.push_str(new),
            // The new tokens changed how those before them read, which has gone out already.
            None => text.push_str(&self.decode(self.window.len() - self.fresh..)),
        }
        settled.clone_into(&mut self.said);
    }

    /// Starts the window at token `from`, all of its text having gone out.
    fn cut(&mut self, from: usize) {
        self.window.drain(..from);
        self.said = self.decode(..);
    }

    /// Leaves tokens out of the window that have nothing to do with its last, where there are such.
    fn forget(&mut self, all: &str) {
        for from in (self.window.len().saturating_sub(HELD / 2)..self.window.len()).rev() {
            let (before, after) = (self.decode(..from), self.decode(from..));
            if all.strip_prefix(before.as_str()) == Some(after.as_str())
                && let Some(said) = self.said.strip_prefix(before.as_str())
            {
                self.said = said.to_owned();
                self.window.drain(..from);
                self.fresh = self.window.len();
                return;
            }
        }
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
        pieces_of(bytes(), ids)
    }

    fn pieces_of(model: Arc<ModelText>, ids: &[u32]) -> Vec<String> {
        let mut decoder = Decoder::new(model);
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
    fn what_a_token_reads_depends_on_its_neighbours() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tiny-llama/tokenizer.json");
        let tokenizer = Tokenizer::from_file(file.as_ref()).expect("a tokenizer");
        let model = Arc::new(ModelText { tokenizer, chat_template: None, eos: Vec::new() });
        for first in 0..model.tokenizer.vocab() {
            let ids: Vec<u32> = (0..12).map(|i| (first + 5 * i) % model.tokenizer.vocab()).collect();
            let pieces = pieces_of(Arc::clone(&model), &ids);
            assert_eq!(pieces.concat(), model.tokenizer.decode(&ids).expect("text"), "{pieces:?}");
        }
    }

    #[test]
    fn what_is_no_text_goes_out_in_the_end() {
        assert_eq!(pieces(&[0xE4, 0xB8]), ["", "", "\u{FFFD}"]);
        let endless = pieces(&[0xFF; 20]);
        assert_eq!((endless[HELD - 1].chars().count(), endless[HELD].chars().count()), (HELD - 1, 0), "{endless:?}");
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
        fn bytes_that_are_no_text_read_as_if_decoded_at_once(ids in prop::collection::vec(
            prop_oneof![0x70_u32..300, Just(0xE4), Just(0xB8), Just(0x96), Just(0xF0), Just(0xFF)], 0..60
        )) {
            prop_assert_eq!(pieces(&ids).concat(), bytes().tokenizer.decode(&ids).expect("text"));
        }

        #[test]
        fn what_waits_is_bounded(ids in prop::collection::vec(0x80_u32..0x100, 0..300)) {
            let mut decoder = Decoder::new(bytes());
            for id in ids {
                decoder.push(id, &mut String::new());
                prop_assert!(decoder.window.len() <= WINDOW);
            }
        }
    }
}
