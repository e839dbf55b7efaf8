//! What the pacing thread tells the observing thread, through a bounded queue on which it never waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};

use engine::cluster::How;
use engine::units::Split;

use crate::schedule::{Planned, Shape};
use crate::slo::Slo;
use crate::target::Shed;
use crate::time::Micros;

/// Notes about the load that may wait for room; one more is lost and counted. They come at the pace of an operator.
const WAITING: usize = 1_024;

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsent {
    /// The target would not take it.
    #[error(transparent)]
    Target(#[from] Shed),
    /// It is a turn of a session, and there is nothing to go on from.
    #[error("the turn before did not complete, and there is no session to go on with")]
    TurnBefore,
}

/// What the pacing thread did.
#[derive(Debug)]
pub(super) enum Note {
    /// Handed over to the target.
    Sent { planned: Planned, sent: Micros },
    /// It was not sent.
    Shed { planned: Planned, at: Micros, why: Unsent },
    /// The rate is now this.
    Rate { at: Micros, rate_rps: f64 },
    /// The load is paused.
    Paused { at: Micros },
    /// The load goes on.
    Resumed { at: Micros, rate_rps: f64 },
    /// Requests are drawn like this from now on.
    Reshaped { at: Micros, shape: Shape },
    /// An order that could not be carried out.
    Refused { at: Micros, why: String },
    /// Whether the system lets the pacing thread run in the real-time class.
    Priority { at: Micros, realtime: bool },
    /// Requests that end from now on are judged by this.
    Slo { at: Micros, slo: Option<Slo> },
    /// A shift is due, by the script or by the operator.
    Shift { at: Micros, to: Split, how: How },
    /// Nothing more will be sent: the schedule ended at this instant.
    Ended { at: Micros },
}

/// The pacing thread's end of the queue.
#[derive(Debug)]
pub(super) struct Notes {
    queue: SyncSender<Note>,
    /// What must arrive and found the queue full, in order.
    waiting: VecDeque<Note>,
    /// Notes that were lost: what they said is missing in the figures.
    dropped: Arc<AtomicU64>,
}

impl Notes {
    pub(super) fn new(queue: SyncSender<Note>, dropped: Arc<AtomicU64>) -> Self {
        Self { queue, waiting: VecDeque::new(), dropped }
    }

    /// Tells of one request among many: lost and counted where there is no room. Gives back whether it was told.
    pub(super) fn request(&mut self, note: Note) -> bool {
        self.flush();
        let told = self.waiting.is_empty() && self.queue.try_send(note).is_ok();
        if !told {
            self.lost();
        }
        told
    }

    /// Tells of a change of the load or of a shift, which changes the meaning of everything after it: where there is no
    /// room it waits here, and is told at the next opportunity.
    pub(super) fn change(&mut self, note: Note) {
        self.flush();
        if self.waiting.len() == WAITING {
            return self.lost();
        }
        self.waiting.push_back(note);
        self.flush();
    }

    /// Whether something waits for room: [`Self::flush`] is to be called again soon.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Passes on what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        while let Some(note) = self.waiting.pop_front() {
            match self.queue.try_send(note) {
                Err(TrySendError::Full(note)) => return self.waiting.push_front(note),
                // Without an observer nobody misses it.
                Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            }
        }
    }

    /// The last note. Nothing is due any more, so this one and those before it wait for room.
    pub(super) fn last(&mut self, note: Note) {
        self.waiting.push_back(note);
        for note in self.waiting.drain(..) {
            if self.queue.send(note).is_err() {
                return;
            }
        }
    }

    fn lost(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;
    use crate::schedule::Request;

    fn notes(room: usize) -> (Notes, Receiver<Note>, Arc<AtomicU64>) {
        let (queue, receiver) = sync_channel(room);
        let dropped = Arc::new(AtomicU64::new(0));
        (Notes::new(queue, Arc::clone(&dropped)), receiver, dropped)
    }

    fn sent(index: u64) -> Note {
        let request =
            Request { index, input_tokens: 1, output_tokens: 1, segments: Vec::new(), clamped: false, turn: None };
        Note::Sent { planned: Planned { due: Micros(index), request }, sent: Micros(index) }
    }

    fn paused(at: u64) -> Note {
        Note::Paused { at: Micros(at) }
    }

    /// The instants told, requests as their index.
    fn told(receiver: &Receiver<Note>) -> Vec<u64> {
        let at = |note| match note {
            Note::Sent { sent: at, .. } | Note::Paused { at } | Note::Ended { at } => at.0,
            other => panic!("{other:?} was not told"),
        };
        receiver.try_iter().map(at).collect()
    }

    #[test]
    fn a_full_queue_loses_requests_and_keeps_changes_in_their_order() {
        let (mut notes, receiver, dropped) = notes(2);
        for note in [sent(0), sent(1), sent(2)] {
            notes.request(note);
        }
        notes.change(paused(3));
        notes.change(paused(4));
        notes.request(sent(5));
        assert!(notes.is_waiting());
        assert_eq!(dropped.load(Ordering::Relaxed), 2, "requests 2 and 5");
        assert_eq!(told(&receiver), [0, 1]);
        notes.request(sent(6));
        assert!(!notes.is_waiting());
        assert_eq!(told(&receiver), [3, 4]);
        assert_eq!(dropped.load(Ordering::Relaxed), 3, "the two changes took the room");
        notes.request(sent(7));
        assert_eq!(told(&receiver), [7]);
    }

    #[test]
    fn changes_that_wait_are_bounded() {
        let (mut notes, _receiver, dropped) = notes(1);
        for at in 0..2 + WAITING as u64 {
            notes.change(paused(at));
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn the_last_note_waits_for_room_behind_the_others() {
        let (mut notes, receiver, dropped) = notes(1);
        notes.request(sent(0));
        notes.change(paused(1));
        std::thread::scope(|scope| {
            scope.spawn(|| notes.last(Note::Ended { at: Micros(2) }));
            let seen: Vec<u64> = (0..3)
                .map(|_| receiver.recv().expect("all of them"))
                .map(|note| match note {
                    Note::Sent { sent: at, .. } | Note::Paused { at } | Note::Ended { at } => at.0,
                    other => panic!("{other:?} was not told"),
                })
                .collect();
            assert_eq!(seen, [0, 1, 2]);
        });
        assert_eq!(dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn without_an_observer_nothing_waits() {
        let (mut notes, receiver, _) = notes(1);
        drop(receiver);
        notes.change(paused(0));
        assert!(!notes.is_waiting());
        notes.last(paused(1));
    }
}
