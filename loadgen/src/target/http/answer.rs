//! A streamed answer, out of its bytes. Pure: how the network has cut them makes no difference.
//!
//! # How many tokens
//! Which arrival brought how many is told by their ids where the server tells them, else by the difference to the usage so far
//! where every piece with text carries one, else a piece with text is one. How many there were in all is told by the ids where
//! all tokens came with theirs, else by the last usage, else by the pieces. A usage that says another number than the ids is
//! wrong, or tokens were lost on the way: TPOT is of those that came, and what it said is kept beside. Reasoning that a server keeps to itself, but counts, is no token of the answer: it was
//! generated before the first that came.

mod piece;
mod told;

use std::sync::Arc;

use super::secrets::Secrets;
use crate::http::misread;
use crate::sample::{Account, CountedBy, FailureKind, Outcome, Reasoning, ServerSide, Told};
use crate::sse::{Event, Framer};
use crate::target::remote::{End, failed, most_of_prompt, most_tokens};
use piece::{Choice, Extension, Part, Piece, Usage};

/// Most bytes of an event: a fixed part, and so many for each token of the prompt, which the server may repeat.
const EVENT_BYTES: (usize, usize) = (256 * 1024, 16);
/// Bytes of text that are kept of an answer that is to be repeated, for each token that it may have: an answer with more of them is none.
const TEXT_BYTES: usize = 64;
/// Letters that are kept of what a server calls itself.
const FINGERPRINT: usize = 100;
/// What has been read of an answer.
#[derive(Debug)]
pub(super) struct Answer<'k> {
    framer: Framer,
    state: State<'k>,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is so or not, whatever the others are")]
struct State<'k> {
    /// To be kept out of messages.
    secrets: &'k Secrets,
    /// Tokens told so far.
    told: u32,
    /// Those of them that were reasoning.
    reasoned: u32,
    /// Those that came, by their ids, before any text: they belong to what comes first.
    textless: u32,
    /// Whether text of the answer itself has come.
    answered: bool,
    /// That text, where it is to be repeated.
    text: Option<String>,
    most: u32,
    most_of_prompt: u32,
    /// Whether the server tells ids, by which arrivals are counted then.
    ids: bool,
    /// Tokens came without theirs.
    nameless: bool,
    /// A piece with text had no usage, so that the difference between two of them is not what one piece brought.
    skips_usage: bool,
    usage: Option<Usage>,
    fingerprint: Option<String>,
    /// Who served it; `None` before the first piece.
    served: Option<Told>,
    /// A piece said that it was the last.
    finished: bool,
    /// The stream said that it was over.
    done: bool,
    failure: Option<Outcome>,
}

/// What an answer of these pieces would be taken for: the ids of its tokens, how it ended and what is known of it. For whoever has
/// bytes and no server.
pub fn read_answer<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    output_tokens: u32,
) -> (Vec<Option<u32>>, Outcome, Account) {
    let secrets = Secrets::default();
    let mut answer = Answer::new(0, output_tokens, &secrets);
    let mut tokens = Vec::new();
    for piece in pieces {
        answer.read(piece, &mut tokens);
        if answer.is_over() {
            break;
        }
    }
    if !answer.is_over() {
        answer.close(&mut tokens);
    }
    let End { outcome, account, .. } = answer.end();
    (tokens, outcome, account)
}

impl<'k> Answer<'k> {
    /// To a prompt of `prompt` tokens that asked for `output_tokens`.
    pub(super) fn new(prompt: usize, output_tokens: u32, secrets: &'k Secrets) -> Self {
        let framer = Framer::new(EVENT_BYTES.0.saturating_add(prompt.saturating_mul(EVENT_BYTES.1)));
        let state = State {
            secrets,
            told: 0,
            reasoned: 0,
            textless: 0,
            answered: false,
            text: None,
            most: most_tokens(output_tokens),
            most_of_prompt: most_of_prompt(prompt),
            ids: false,
            nameless: false,
            skips_usage: false,
            usage: None,
            fingerprint: None,
            served: None,
            finished: false,
            done: false,
            failure: None,
        };
        Self { framer, state }
    }

    /// The text of the answer will be asked for.
    pub(super) fn keep_text(&mut self) {
        self.state.text = Some(String::new());
    }

    /// Whether ids of tokens came.
    pub(super) fn tells_ids(&self) -> bool {
        self.state.ids
    }

    /// Reads what came and appends the tokens in it, with ids where they are told.
    pub(super) fn read(&mut self, bytes: &[u8], tokens: &mut Vec<Option<u32>>) {
        let Self { framer, state } = self;
        if let Err(too_long) = framer.push(bytes, |event| state.event(event, tokens)) {
            state.fail(FailureKind::Malformed, too_long.to_string());
        }
    }

    /// The stream has ended.
    pub(super) fn close(&mut self, tokens: &mut Vec<Option<u32>>) {
        let Self { framer, state } = self;
        framer.finish(|event| state.event(event, tokens));
    }

    /// Whether nothing that may still come is of interest.
    pub(super) fn is_over(&self) -> bool {
        self.state.done || self.state.failure.is_some()
    }

    /// Whether its last piece came: what may still come is its usage, and the word that the stream is over.
    pub(super) fn is_finished(&self) -> bool {
        self.state.finished
    }

    /// Whether a token of the answer itself has come, and not only reasoning.
    pub(super) fn has_answered(&self) -> bool {
        self.state.answered
    }

    /// What the server calls its software and configuration, where it does.
    pub(super) fn fingerprint(&self) -> Option<&str> {
        self.state.fingerprint.as_deref()
    }

    /// What became of it.
    pub(super) fn end(self) -> End {
        self.broken(Outcome::Cut)
    }

    /// What became of it when nothing more came for `why`; the last piece may have come before. When tokens of the answer
    /// itself came after reasoning is for the caller to say.
    pub(super) fn broken(self, why: Outcome) -> End {
        let all_named = self.state.ids && !self.state.nameless;
        let counted = self.state.counted();
        let State { told, reasoned, usage, finished, done, most, most_of_prompt, text, failure, served, .. } =
            self.state;
        let counted = counted.filter(|counted| *counted <= most);
        let differs = counted.filter(|counted| *counted != told);
        let (by, tokens, usage_tokens) = match counted {
            Some(_) if all_named && differs.is_some() => (Some(CountedBy::Ids), None, differs),
            Some(_) => (Some(CountedBy::Usage), differs, None),
            None if all_named => (Some(CountedBy::Ids), None, None),
            None => ((told > 0).then_some(CountedBy::Chunks), None, None),
        };
        let of_reasoning = usage.and_then(Usage::reasoning_tokens).filter(|tokens| *tokens <= most).unwrap_or(reasoned);
        let account = Account {
            counted: by,
            prompt_tokens: usage.and_then(|usage| usage.prompt_tokens).filter(|of| (1..=most_of_prompt).contains(of)),
            usage_tokens,
            reasoning: (reasoned > 0).then_some(Reasoning { tokens: of_reasoning, answer: None }),
            address: None,
            cut: None,
        };
        let outcome = match failure {
            Some(failure) => failure,
            None if finished || done => Outcome::Completed,
            None => why,
        };
        let served = served.filter(|served| !served.is_empty()).map(Arc::new);
        let server = match (usage.and_then(Usage::server_side), served) {
            (Some(server), told) => Some(ServerSide { told, ..server }),
            (None, Some(told)) => Some(ServerSide { told: Some(told), ..ServerSide::default() }),
            (None, None) => None,
        };
        End { outcome, server, tokens, account, text }
    }
}

impl State<'_> {
    /// How many tokens the usage says there are. One that says none of tokens that came has not counted.
    fn counted(&self) -> Option<u32> {
        let usage = self.usage?;
        let all = usage.completion_tokens?;
        let hidden = if self.reasoned == 0 { usage.reasoning_tokens().unwrap_or(0) } else { 0 };
        Some(all.saturating_sub(hidden)).filter(|counted| *counted > 0 || self.told == 0)
    }

    fn fail(&mut self, kind: FailureKind, message: String) {
        self.failure.get_or_insert(failed(kind, message));
    }

    fn event(&mut self, event: Event<'_>, tokens: &mut Vec<Option<u32>>) {
        if self.done || self.failure.is_some() {
            return;
        }
        if event.data == b"[DONE]" {
            self.done = true;
            return;
        }
        match serde_json::from_slice::<Piece<'_>>(event.data) {
            Ok(piece) if !piece.is_error() && event.kind != b"error" => self.piece(piece, tokens),
            Ok(_) => self.fail(FailureKind::Engine, self.secrets.message(event.data)),
            Err(error) => {
                let why = self.secrets.hide(&misread(&error));
                self.fail(FailureKind::Malformed, format!("an event that is no piece of an answer: {why}"));
            }
        }
    }

    fn piece(&mut self, piece: Piece<'_>, tokens: &mut Vec<Option<u32>>) {
        let before = tokens.len();
        if let (None, Some(name)) = (&self.fingerprint, piece.system_fingerprint) {
            self.fingerprint = Some(self.secrets.line(&name).chars().take(FINGERPRINT).collect());
        }
        let id = piece.id.as_deref();
        let served = self.served.get_or_insert_with(|| id.and_then(told::of_id).unwrap_or_default());
        if let Some(Extension::Known(extra)) = piece.nvext {
            extra.add_to(served);
        }
        // One answer was asked for.
        if let Some(choice) = piece.choices.into_iter().flatten().next() {
            let part = choice.part();
            let so_far = self.so_far(part, piece.usage);
            let reason = self.choice(choice, so_far, tokens);
            let new = (tokens.len() - before) as u32;
            self.belongs(part, new);
            if let Some(reason) = reason {
                self.finish(&reason);
            }
        }
        self.usage = piece.usage.or(self.usage);
        self.told = self.told.saturating_add((tokens.len() - before) as u32);
        if self.told > self.most {
            self.fail(FailureKind::Malformed, format!("the answer goes on beyond {} tokens", self.most));
        } else if let Some(counted) = self.counted().filter(|counted| *counted > self.most) {
            self.fail(FailureKind::Malformed, format!("its usage has {counted} tokens, more than {}", self.most));
        }
    }

    /// What tokens that came belong to. Those without text (half a character, or what a parser keeps to itself) belong to what they
    /// stand in, and to what comes first where they come before all text.
    fn belongs(&mut self, part: Part, new: u32) {
        match part {
            Part::Answer => self.answered = true,
            Part::Reasoning => {
                let before = std::mem::take(&mut self.textless);
                self.reasoned =
                    self.reasoned.saturating_add(new).saturating_add(if self.answered { 0 } else { before });
            }
            Part::Nothing if self.answered => {}
            Part::Nothing if self.reasoned > 0 => self.reasoned = self.reasoned.saturating_add(new),
            Part::Nothing => self.textless = self.textless.saturating_add(new),
        }
    }

    /// How many tokens had come with this piece, if its usage is one of those that say so: a usage in the last piece alone counts
    /// the whole answer, and nothing of it came with that piece.
    fn so_far(&mut self, part: Part, usage: Option<Usage>) -> Option<u32> {
        let so_far = usage.and_then(|usage| usage.completion_tokens);
        self.skips_usage |= part != Part::Nothing && so_far.is_none();
        let hidden = if self.reasoned == 0 && part != Part::Reasoning {
            usage.and_then(Usage::reasoning_tokens).unwrap_or(0)
        } else {
            0
        };
        let is_one_of_many = !self.skips_usage && (part != Part::Nothing || self.usage.is_some());
        so_far.filter(|_| is_one_of_many).map(|so_far| so_far.saturating_sub(hidden))
    }

    /// Appends the tokens of a piece; gives back why it was the last, if it was.
    fn choice(
        &mut self,
        choice: Choice<'_>,
        so_far: Option<u32>,
        tokens: &mut Vec<Option<u32>>,
    ) -> Option<serde_json::Value> {
        let part = choice.part();
        let said = if self.text.is_some() { choice.said() } else { None };
        match (choice.token_ids.filter(|ids| !ids.is_empty()), so_far) {
            (Some(ids), _) => {
                self.ids = true;
                tokens.extend(ids.into_iter().map(Some));
            }
            // A piece without either from a server that tells ids, such as a last one.
            (None, _) if self.ids && part == Part::Nothing => {}
            (None, Some(so_far)) => {
                let new = so_far.saturating_sub(self.told).min(self.most.saturating_add(1));
                self.nameless |= new > 0;
                tokens.extend(std::iter::repeat_n(None, new as usize));
            }
            (None, None) if part != Part::Nothing => {
                self.nameless = true;
                tokens.push(None);
            }
            (None, None) => {}
        }
        self.keep(said.as_deref());
        choice.finish_reason.filter(|reason| !reason.is_null())
    }

    /// Keeps the text of the answer, where it is to be repeated.
    fn keep(&mut self, said: Option<&str>) {
        let (Some(text), Some(said)) = (&mut self.text, said) else { return };
        let most = TEXT_BYTES.saturating_mul(self.most as usize);
        if text.len() + said.len() > most {
            return self.fail(FailureKind::Malformed, format!("the answer has more than {most} bytes of text"));
        }
        text.push_str(said);
    }

    fn finish(&mut self, reason: &serde_json::Value) {
        let name = reason.as_str().or_else(|| reason.get("type")?.as_str());
        match name {
            Some(name @ ("abort" | "error")) => self.fail(FailureKind::Engine, format!("finish_reason {name}")),
            _ => self.finished = true,
        }
    }
}

#[cfg(test)]
mod tests;
