//! A server's clock, read from here.
//!
//! An answer says what the server's clock read at some moment between the question and the answer. The middle is wrong by half of
//! that time at most, so the quickest of the last answers is believed. Old ones are forgotten, because clocks drift.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::units::Nanos;

use crate::clock::RunClock;
use crate::time::Micros;

/// Answers that are kept.
const ANSWERS: usize = 32;

/// Converts instants of a server into the run's.
#[derive(Debug)]
pub struct ServerClock {
    /// Never set anew, unlike the run's.
    own: RunClock,
    answers: Mutex<VecDeque<Reading>>,
}

/// What one answer tells.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Server's time minus own time, in microseconds.
    ahead: i64,
    /// How long the answer took.
    took: Micros,
}

impl Default for ServerClock {
    fn default() -> Self {
        Self { own: RunClock::start(), answers: Mutex::default() }
    }
}

impl ServerClock {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Reading>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The own clock now, to be told to [`ServerClock::answered`] later.
    pub fn asked(&self) -> Micros {
        self.own.now()
    }

    /// The server's clock read `server` at some moment between `asked` and now.
    pub fn answered(&self, asked: Micros, server: Nanos) {
        self.note(asked, self.own.now(), server);
    }

    /// The server's clock is another one from now on.
    pub fn forget(&self) {
        self.lock().clear();
    }

    fn note(&self, asked: Micros, answered: Micros, server: Nanos) {
        let took = answered - asked;
        let middle = asked + Micros(took.0 / 2);
        let mut answers = self.lock();
        if answers.len() == ANSWERS {
            answers.pop_front();
        }
        answers.push_back(Reading { ahead: (server.0 / 1000).cast_signed() - middle.0.cast_signed(), took });
    }

    /// When `server` was on the run's clock, which reads `run` now. Never later than that; `run` before the first answer.
    pub fn on_run(&self, server: Nanos, run: Micros) -> Micros {
        self.at(server, self.own.now(), run)
    }

    fn at(&self, server: Nanos, own: Micros, run: Micros) -> Micros {
        let best = self.lock().iter().min_by_key(|answer| answer.took).copied();
        let Some(Reading { ahead, .. }) = best else { return run };
        let then = (server.0 / 1000).cast_signed() - ahead;
        let ago = own.0.cast_signed().saturating_sub(then).max(0);
        Micros(run.0.saturating_sub(ago.cast_unsigned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_answer_is_believed_and_nothing_is_in_the_future() {
        let clock = ServerClock::default();
        assert_eq!(clock.at(Nanos(5), Micros(100), Micros(900)), Micros(900), "nothing is known yet");
        // The server is 1,000,000 us ahead; a slow answer makes it look like 1,000,400.
        clock.note(Micros(0), Micros(1000), Nanos(1_000_900_000));
        clock.note(Micros(2000), Micros(2010), Nanos(1_002_005_000));
        clock.note(Micros(3000), Micros(4000), Nanos(1_003_100_000));
        // The run's clock is 500 us behind our own.
        assert_eq!(clock.at(Nanos(1_005_000_000), Micros(6000), Micros(5500)), Micros(4500));
        assert_eq!(clock.at(Nanos(1_009_000_000), Micros(6000), Micros(5500)), Micros(5500));
        assert_eq!(clock.at(Nanos(0), Micros(6000), Micros(5500)), Micros(0));
    }

    #[test]
    fn a_clock_that_begins_anew_is_read_anew() {
        let clock = ServerClock::default();
        clock.note(Micros(0), Micros(2), Nanos(9_000_000_000));
        clock.forget();
        clock.note(Micros(1000), Micros(3000), Nanos(500_000));
        assert_eq!(clock.at(Nanos(700_000), Micros(4000), Micros(4000)), Micros(2200));
    }

    #[test]
    fn old_answers_are_forgotten() {
        let clock = ServerClock::default();
        clock.note(Micros(0), Micros(2), Nanos(1_000));
        for round in 0..ANSWERS as u64 {
            let asked = 10_000 * (round + 1);
            clock.note(Micros(asked), Micros(asked + 100), Nanos((asked + 50 + 70) * 1000));
        }
        assert_eq!(clock.at(Nanos(1_070_000), Micros(2000), Micros(2000)), Micros(1000));
    }
}
