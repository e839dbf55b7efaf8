//! One request as a list shows it and as its timeline is drawn: what is left of a [`Sample`] when its gaps and its prompt are
//! forgotten. It is the same for a request of a live run and for one read from a recording.

mod slowest;

use std::cmp::Reverse;
use std::sync::Arc;

use crate::measure::{Span, StageTimes, whole};
use crate::sample::{Outcome, Sample, ServerSide};
use crate::schedule::Turn;
use crate::text::cut;
use crate::time::Micros;

pub use slowest::Slowest;

/// Letters of an error message that are kept.
const LONGEST_MESSAGE: usize = 120;

/// What a list of requests is ordered by, the longest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// TTFT.
    #[default]
    Ttft,
    /// E2E; a request that did not complete counts with the time until it was over.
    E2e,
    /// TPOT.
    Tpot,
}

impl Order {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ttft, Self::E2e, Self::Tpot];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT",
            Self::E2e => "E2E",
            Self::Tpot => "TPOT",
        }
    }
}

/// A request that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestLine {
    /// Its number in the schedule.
    pub index: u64,
    /// When the schedule wanted it to leave.
    pub due: Micros,
    /// When it was handed to the target; `None` when it was shed.
    pub sent: Option<Micros>,
    /// When its first token arrived.
    pub first: Option<Micros>,
    /// When its last token arrived.
    pub last: Option<Micros>,
    /// When its outcome was known.
    pub ended: Micros,
    /// Tokens of its prompt.
    pub input_tokens: u32,
    /// Tokens asked of its answer.
    pub output_asked: u32,
    /// Tokens of its answer that arrived.
    pub output_tokens: u32,
    /// Which turn of a session it was, if of any.
    pub turn: Option<Turn>,
    /// TPOT; `None` for answers of fewer than two tokens.
    pub tpot: Option<Micros>,
    /// How it ended; the message of an error may be cut.
    pub outcome: Outcome,
    /// What the server said about it, where it says anything.
    pub server: Option<ServerSide>,
    /// What each stage of its TTFT took; `None` without a first token.
    pub stages: Option<StageTimes>,
}

impl RequestLine {
    /// Of a request.
    pub fn of(sample: &Sample) -> Self {
        let mut outcome = sample.outcome.clone();
        if let Outcome::Failed(failure) = &mut outcome {
            cut(&mut failure.message, LONGEST_MESSAGE);
        }
        Self {
            index: sample.index,
            due: sample.due,
            sent: sample.sent,
            first: sample.first,
            last: sample.last,
            ended: sample.ended,
            input_tokens: sample.input_tokens,
            output_asked: sample.output_asked,
            output_tokens: sample.output_tokens,
            turn: sample.turn,
            tpot: sample.tpot(),
            outcome,
            server: sample.server.clone(),
            stages: StageTimes::of(sample),
        }
    }

    /// First token − due.
    pub fn ttft(&self) -> Option<Micros> {
        Some(self.first?.since(self.due))
    }

    /// Last token − due.
    pub fn e2e(&self) -> Option<Micros> {
        Some(self.last?.since(self.due))
    }

    /// Its whole life in stages, consecutive from `due`, empty ones left out.
    pub fn life(&self) -> Vec<Span> {
        whole(self.due, self.sent, [self.first, self.last], self.ended, self.server.as_ref())
    }

    /// What `order` compares; `None` when it has no place in it.
    pub fn key(&self, order: Order) -> Option<Micros> {
        match order {
            Order::Ttft => self.ttft(),
            Order::Tpot => self.tpot,
            Order::E2e if self.outcome.is_completed() => self.e2e(),
            Order::E2e => Some(self.ended.since(self.due)),
        }
    }
}

/// Sorts by `order`, the longest first, those without a place in it last; equals in the order in which they were due.
pub fn sort(lines: &mut [Arc<RequestLine>], order: Order) {
    lines.sort_by_key(|line| (Reverse(line.key(order)), line.due, line.index));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Stage;
    use crate::sample::testing::{completed, failed, unanswered};
    use crate::sample::{Failure, FailureKind};

    #[test]
    fn a_line_says_what_its_sample_says() {
        let sample = completed(7, 1_000, 500, &[20, 40]);
        let line = RequestLine::of(&sample);
        assert_eq!((line.ttft(), line.e2e(), line.tpot), (sample.ttft(), sample.e2e(), sample.tpot()));
        assert_eq!(line.stages.map(|stages| stages.total()), sample.ttft());
        assert_eq!(line.life().last().map(|span| (span.stage, span.to)), Some((Stage::Decode, sample.ended)));
    }

    #[test]
    fn what_never_answered_is_ordered_by_the_time_until_it_was_over() {
        let line = RequestLine::of(&unanswered(1, 1_000, 31_000, failed()));
        let keys = Order::ALL.map(|order| line.key(order));
        assert_eq!(keys, [None, Some(Micros(30_000)), None]);
    }

    #[test]
    fn a_long_message_is_cut_between_letters() {
        let failure = Failure { kind: FailureKind::Status, message: "ü".repeat(500) };
        let line = RequestLine::of(&unanswered(1, 0, 1, Outcome::Failed(failure)));
        let Outcome::Failed(failure) = line.outcome else { panic!("it failed") };
        assert_eq!(failure.message.chars().count(), LONGEST_MESSAGE + 1);
    }

    #[test]
    fn sorting_puts_the_longest_first_and_what_has_no_figure_last() {
        let requests = [completed(0, 0, 30, &[9]), completed(1, 5, 90, &[]), completed(2, 9, 30, &[50])];
        let mut lines: Vec<_> = requests.iter().map(|sample| Arc::new(RequestLine::of(sample))).collect();
        let order = |lines: &[Arc<RequestLine>]| lines.iter().map(|line| line.index).collect::<Vec<_>>();
        sort(&mut lines, Order::Ttft);
        assert_eq!(order(&lines), [1, 0, 2]);
        sort(&mut lines, Order::Tpot);
        assert_eq!(order(&lines), [2, 0, 1]);
    }
}
