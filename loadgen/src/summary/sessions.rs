//! The figures of sessions: what became of them, and how first turns differ from those with a conversation behind them.

use std::fmt::{self, Write};

use serde::Serialize;

use super::text::{figure, latency};
use super::{Prefix, Statistics};
use crate::measure::Distribution;
use crate::sample::Sample;

/// The sessions of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sessions {
    /// Those whose first turn was offered.
    pub started: u64,
    /// Those whose last turn completed.
    pub completed: u64,
    /// Those with a turn that did not complete.
    pub broken: u64,
    /// Those with turns that were not due before the schedule ended.
    pub unfinished: u64,
    /// Turns that were shed because the one before had not completed.
    pub lost_turns: u64,
    /// First turns.
    pub first_turns: TurnFigures,
    /// All others.
    pub later_turns: TurnFigures,
}

/// Turns due in the window of the figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TurnFigures {
    /// How many.
    pub requests: u64,
    /// Mean tokens of their prompts, the conversation so far among them.
    pub input_tokens_mean: Option<f64>,
    /// TTFT of those that completed, from due.
    pub ttft_ms: Statistics,
    /// What prefix caches had of them.
    pub prefix: Prefix,
}

/// Takes samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    started: u64,
    completed: u64,
    broken: u64,
    lost: u64,
    first: Side,
    later: Side,
}

#[derive(Clone, Debug, Default)]
struct Side {
    requests: u64,
    input_tokens: u64,
    ttft: Distribution,
    prefix: Prefix,
}

impl Turns {
    /// `counts` says whether it is due in the window of the figures.
    pub(super) fn add(&mut self, sample: &Sample, counts: bool) {
        let Some(turn) = sample.turn else { return };
        let is_completed = sample.outcome.is_completed();
        self.started += u64::from(turn.turn == 0);
        self.completed += u64::from(turn.is_last() && is_completed);
        self.broken += u64::from(!is_completed && !turn.lost);
        self.lost += u64::from(turn.lost);
        if counts {
            let side = if turn.turn == 0 { &mut self.first } else { &mut self.later };
            side.requests += 1;
            side.input_tokens += u64::from(sample.input_tokens);
            side.prefix.add(sample);
            if let Some(ttft) = sample.ttft().filter(|_| is_completed) {
                side.ttft.record(ttft);
            }
        }
    }

    /// `None` of a run without sessions.
    pub(super) fn figures(&self) -> Option<Sessions> {
        let Self { started, completed, broken, lost, first, later } = self;
        (*started > 0).then(|| Sessions {
            started: *started,
            completed: *completed,
            broken: *broken,
            unfinished: started.saturating_sub(completed + broken),
            lost_turns: *lost,
            first_turns: first.figures(),
            later_turns: later.figures(),
        })
    }
}

impl Side {
    fn figures(&self) -> TurnFigures {
        TurnFigures {
            requests: self.requests,
            input_tokens_mean: (self.requests > 0).then(|| self.input_tokens as f64 / self.requests as f64),
            ttft_ms: Statistics::from(&self.ttft),
            prefix: self.prefix,
        }
    }
}

impl Sessions {
    /// Some lines for a terminal.
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        write!(out, "sessions     {} started  {} completed", self.started, self.completed)?;
        if self.broken > 0 {
            write!(out, "  {} broken ({} turns shed for it)", self.broken, self.lost_turns)?;
        }
        if self.unfinished > 0 {
            write!(out, "  {} unfinished at the end", self.unfinished)?;
        }
        writeln!(out)?;
        for (name, of) in [("first turns", &self.first_turns), ("later turns", &self.later_turns)] {
            write!(out, "{name:<13}{}", latency("ttft", &of.ttft_ms, 40))?;
            write!(out, "prompts of {} tokens", of.input_tokens_mean.map_or("-".to_owned(), figure))?;
            if let Prefix { queried_tokens: Some(queried @ 1..), hit_tokens: Some(hit) } = of.prefix {
                write!(out, ", {:.0}% cached", hit as f64 / queried as f64 * 100.0)?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::{completed, failed, unanswered};
    use crate::sample::{Outcome, ServerSide};
    use crate::schedule::Turn;
    use crate::time::Micros;

    fn turn(session: u64, turn: u32, of: u32) -> Turn {
        Turn { session, turn, of, think: Micros::ZERO, new_tokens: 10, lost: false }
    }

    #[test]
    fn sessions_are_told_by_what_became_of_their_turns_and_turns_by_what_was_before() {
        let server = |prefix_hit| Some(ServerSide { prefix_queried: 100, prefix_hit, ..ServerSide::default() });
        let lost = Turn { lost: true, ..turn(1, 2, 3) };
        let mut turns = Turns::default();
        for sample in [
            Sample { turn: Some(turn(0, 0, 2)), server: server(0), ..completed(0, 0, 900, &[]) },
            Sample { turn: Some(turn(0, 1, 2)), server: server(80), ..completed(1, 5_000, 100, &[]) },
            Sample { turn: Some(turn(1, 0, 3)), ..completed(2, 0, 900, &[]) },
            Sample { turn: Some(turn(1, 1, 3)), ..unanswered(3, 6_000, 7_000, failed()) },
            Sample { turn: Some(lost), ..unanswered(4, 8_000, 8_000, Outcome::Shed) },
            Sample { turn: Some(turn(2, 0, 3)), ..completed(5, 9_000, 900, &[]) },
        ] {
            turns.add(&sample, true);
        }
        let sessions = turns.figures().expect("sessions");
        assert_eq!((sessions.started, sessions.completed, sessions.broken, sessions.unfinished), (3, 1, 1, 1));
        assert_eq!((sessions.lost_turns, sessions.first_turns.requests, sessions.later_turns.requests), (1, 3, 3));
        assert_eq!((sessions.first_turns.ttft_ms.max, sessions.later_turns.ttft_ms.max), (Some(0.9), Some(0.1)));
        assert_eq!(sessions.first_turns.prefix.hit_tokens, Some(0));
        assert_eq!(sessions.later_turns.prefix.hit_tokens, Some(80));
        let mut text = String::new();
        sessions.write(&mut text).expect("a text");
        let first = "sessions     3 started  1 completed  1 broken (1 turns shed for it)  1 unfinished at the end\n";
        assert!(text.starts_with(first), "{text}");
        assert!(text.contains("\nlater turns  ttft  p50 0.10") && text.ends_with(", 80% cached\n"), "{text}");
    }

    #[test]
    fn a_run_without_sessions_says_nothing_of_them() {
        let mut turns = Turns::default();
        turns.add(&completed(0, 0, 900, &[]), true);
        assert_eq!(turns.figures(), None);
    }
}
