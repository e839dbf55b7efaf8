//! The pacing thread: it waits until a request is due, makes its prompt (about a nanosecond a token) and hands it over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use engine::cluster::How;
use engine::units::Split;

use super::meters::CpuMeters;
use crate::clock::RunClock;
use crate::schedule::{Planned, Schedule, ScriptedShift};
use crate::target::{Dispatch, Shed, Target};
use crate::time::Micros;
use crate::workload::Content;

/// How long the thread waits for orders when nothing is due.
const IDLE: Duration = Duration::from_hours(1);

/// What the pacing thread is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Order {
    /// Offer this many requests per second from now on.
    Rate(f64),
    Pause,
    Resume,
    /// Pass a shift on.
    Shift(Split, How),
    /// Send nothing more.
    Finish,
}

/// What the pacing thread did.
#[derive(Debug)]
pub(super) enum Note {
    /// Handed over to the target.
    Sent {
        planned: Planned,
        sent: Micros,
    },
    /// The target would not take it.
    Shed {
        planned: Planned,
        at: Micros,
        why: Shed,
    },
    /// The rate is now this.
    Rate {
        at: Micros,
        rate_rps: f64,
    },
    Paused {
        at: Micros,
    },
    Resumed {
        at: Micros,
        rate_rps: f64,
    },
    /// A shift is due, by the script or by the operator.
    Shift {
        at: Micros,
        to: Split,
        how: How,
    },
    /// Nothing more will be sent: the schedule ended at this instant.
    Ended {
        at: Micros,
    },
}

/// Everything the thread needs.
#[derive(Debug)]
pub(super) struct Pacer {
    pub(super) clock: RunClock,
    pub(super) schedule: Schedule,
    pub(super) content: Content,
    pub(super) target: Arc<dyn Target>,
    pub(super) shifts: VecDeque<ScriptedShift>,
    pub(super) orders: Receiver<Order>,
    pub(super) notes: SyncSender<Note>,
    /// Notes that found the queue full: what they said is missing in the figures.
    pub(super) dropped: Arc<AtomicU64>,
    pub(super) meters: Arc<CpuMeters>,
}

impl Pacer {
    /// Runs until the schedule and the shift script are over, or until told to finish.
    pub(super) fn run(mut self) {
        let mut prompt = Vec::new();
        let mut ended = false;
        loop {
            let now = self.clock.now();
            if !ended && self.schedule.is_over(now) {
                ended = true;
                self.end();
            }
            let due = self.schedule.next_due();
            let shift_at = self.shifts.front().map(|shift| shift.at);
            if ended && shift_at.is_none() {
                return;
            }
            let wake = [due, shift_at, self.schedule.end().filter(|end| *end > now)].into_iter().flatten().min();
            match self.orders.recv_timeout(wake.map_or(IDLE, |at| self.clock.until(at))) {
                Ok(Order::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.clock.now();
                    if due.is_some_and(|due| due <= now) {
                        self.send(&mut prompt);
                    }
                    if shift_at.is_some_and(|at| at <= now)
                        && let Some(shift) = self.shifts.pop_front()
                    {
                        self.tell(Note::Shift { at: now, to: shift.to, how: shift.how });
                    }
                }
            }
        }
        if !ended {
            self.end();
        }
    }

    /// This note must arrive, and nothing is due any more: it waits for room. Without an observer nobody misses it.
    fn end(&self) {
        let now = self.clock.now();
        let at = self.schedule.end().map_or(now, |end| end.min(now));
        let _ = self.notes.send(Note::Ended { at });
    }

    fn send(&mut self, prompt: &mut Vec<u32>) {
        let Some(planned) = self.schedule.next() else { return };
        self.content.fill(&planned.segments, prompt);
        let dispatch = Dispatch {
            index: planned.index,
            prompt: Arc::from(prompt.as_slice()),
            output_tokens: planned.output_tokens,
        };
        let sent = self.clock.now();
        let note = match self.target.submit(dispatch) {
            Ok(()) => Note::Sent { planned, sent },
            Err(why) => Note::Shed { planned, at: sent, why },
        };
        self.tell(note);
        self.meters.pacing();
    }

    fn obey(&mut self, order: Order) {
        let at = self.clock.now();
        match order {
            Order::Rate(rate_rps) => {
                // A rate that cannot be offered leaves the schedule as it is; the note says what it is.
                let _ = self.schedule.set_rate(at, rate_rps);
                self.tell(Note::Rate { at, rate_rps: self.schedule.rate_at(at) });
            }
            Order::Pause => {
                self.schedule.pause(at);
                self.tell(Note::Paused { at });
            }
            Order::Resume => {
                self.schedule.resume(at);
                self.tell(Note::Resumed { at, rate_rps: self.schedule.rate_at(at) });
            }
            Order::Shift(to, how) => self.tell(Note::Shift { at, to, how }),
            Order::Finish => {}
        }
    }

    /// Never waits. A note that finds the queue full is lost and counted.
    fn tell(&self, note: Note) {
        if self.notes.try_send(note).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
