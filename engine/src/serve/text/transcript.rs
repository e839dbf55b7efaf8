//! One answer as text, and where it ends.

use std::sync::Arc;

use super::decoder::Decoder;
use super::stops::StopMatcher;
use crate::model::ModelText;

/// Where an answer ends at the latest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct Until {
    /// After this many tokens.
    pub(in crate::serve) tokens: u32,
    /// With one of these tokens, whose text is left out.
    pub(in crate::serve) stop_tokens: Arc<[u32]>,
    /// Before one of these texts.
    pub(in crate::serve) stop_texts: Vec<String>,
    /// But only after this many tokens, unless `tokens` is no more. Until then a stop token is a token like any other and
    /// text is not searched.
    pub(in crate::serve) min_tokens: u32,
}

/// How an answer came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Finish {
    /// With a stop token.
    StopToken,
    /// Before a stop text.
    StopText,
    /// It has as many tokens as asked for.
    Length,
}

/// Turns the tokens of one answer into text.
#[derive(Debug)]
pub(in crate::serve) struct Transcript {
    decoder: Decoder,
    stops: StopMatcher,
    /// Text of the last token that has not gone through the stop strings yet; kept for its memory.
    decoded: String,
    stop_tokens: Arc<[u32]>,
    most: u32,
    least: u32,
    tokens: u32,
}

impl Transcript {
    pub(in crate::serve) fn new(model: Arc<ModelText>, until: Until) -> Self {
        Self {
            decoder: Decoder::new(model),
            stops: StopMatcher::new(until.stop_texts),
            decoded: String::new(),
            stop_tokens: until.stop_tokens,
            most: until.tokens,
            least: until.min_tokens,
            tokens: 0,
        }
    }

    /// Tokens taken so far.
    pub(in crate::serve) fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Takes a token, appends the text that it adds to `text`, often none, and says how the answer ended if this was its
    /// last token. After that no other may come.
    pub(in crate::serve) fn push(&mut self, token: u32, text: &mut String) -> Option<Finish> {
        self.tokens += 1;
        self.decoded.clear();
        let mut finish = if self.tokens > self.least && self.stop_tokens.contains(&token) {
            Some(Finish::StopToken)
        } else {
            self.decoder.push(token, &mut self.decoded);
            (self.tokens >= self.most).then_some(Finish::Length)
        };
        if finish.is_some() {
            self.decoder.finish(&mut self.decoded);
        }
        if self.tokens <= self.least {
            text.push_str(&self.decoded);
        } else if self.stops.push(&self.decoded, text) {
            finish = Some(Finish::StopText);
        }
        if finish.is_some() {
            self.stops.finish(text);
        }
        finish
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tokenizer;

    fn transcript(tokens: u32, stop_tokens: &[u32], stop_texts: &[&str], min_tokens: u32) -> Transcript {
        let model = ModelText { tokenizer: Tokenizer::bytes(300), chat_template: None, eos: Vec::new() };
        let stop_texts = stop_texts.iter().map(|&text| text.to_owned()).collect();
        Transcript::new(Arc::new(model), Until { tokens, stop_tokens: stop_tokens.into(), stop_texts, min_tokens })
    }

    fn run(mut transcript: Transcript, text: &str) -> (String, u32, Option<Finish>) {
        let mut whole = String::new();
        for byte in text.bytes() {
            let finish = transcript.push(u32::from(byte), &mut whole);
            if finish.is_some() {
                return (whole, transcript.tokens(), finish);
            }
        }
        (whole, transcript.tokens(), None)
    }

    #[test]
    fn it_ends_after_the_tokens_asked_for_with_everything_that_was_held_back() {
        assert_eq!(run(transcript(4, &[], &["def"], 0), "abcdef"), ("abcd".to_owned(), 4, Some(Finish::Length)));
        assert_eq!(run(transcript(2, &[], &[], 0), "世"), ("\u{FFFD}".to_owned(), 2, Some(Finish::Length)));
    }

    #[test]
    fn it_ends_with_a_stop_token_or_before_a_stop_text() {
        assert_eq!(
            run(transcript(9, &[u32::from(b'c')], &[], 0), "abcdef"),
            ("ab".to_owned(), 3, Some(Finish::StopToken))
        );
        assert_eq!(run(transcript(9, &[], &["cd"], 0), "abcdef"), ("ab".to_owned(), 4, Some(Finish::StopText)));
        // The last token asked for completes the stop text: that is a stop.
        assert_eq!(run(transcript(4, &[], &["cd"], 0), "abcdef"), ("ab".to_owned(), 4, Some(Finish::StopText)));
        // Text that was held back when a stop token came is no stop text.
        assert_eq!(
            run(transcript(9, &[u32::from(b'd')], &["cx"], 0), "abcd"),
            ("abc".to_owned(), 4, Some(Finish::StopToken))
        );
    }

    #[test]
    fn nothing_stops_it_before_the_least_number_of_tokens() {
        let c = [u32::from(b'c')];
        assert_eq!(run(transcript(9, &c, &[], 3), "abcabcabc"), ("abcab".to_owned(), 6, Some(Finish::StopToken)));
        assert_eq!(run(transcript(9, &[], &["bc"], 3), "abcabcabc"), ("abca".to_owned(), 6, Some(Finish::StopText)));
        assert_eq!(run(transcript(2, &c, &["b"], 4), "abc"), ("ab".to_owned(), 2, Some(Finish::Length)));
    }
}
