//! The pacing thread: it makes the next prompt while there is time, waits until the request is due, and hands it over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::meters::CpuMeters;
use super::notes::{Note, Notes, Unsent};
use super::orders::{Answered, Order};
use crate::clock::RunClock;
use crate::live::Command;
use crate::schedule::{Schedule, ScriptedShift, Turn};
use crate::target::{Dispatch, Target};
use crate::time::Micros;
use crate::workload::Content;

/// How long the thread waits for orders when nothing is due.
const IDLE: Duration = Duration::from_hours(1);
/// Requests sent without waiting once, after which everybody else gets a turn: the thread may be in the real-time class.
const IN_A_ROW: u32 = 256;
/// That turn.
const TURN: Duration = Duration::from_micros(20);
/// Between two attempts to pass on notes that found their queue full.
const RETRY: Duration = Duration::from_millis(10);

/// Everything the thread needs.
#[derive(Debug)]
pub(super) struct Pacer {
    pub(super) clock: RunClock,
    pub(super) schedule: Schedule,
    pub(super) content: Content,
    pub(super) target: Arc<dyn Target>,
    pub(super) shifts: VecDeque<ScriptedShift>,
    pub(super) orders: Receiver<Order>,
    pub(super) notes: Notes,
    pub(super) meters: Arc<CpuMeters>,
}

impl Pacer {
    /// Runs until the schedule and the shift script are over, or until told to finish.
    pub(super) fn run(mut self) {
        // Where the system refuses, requests leave a little later than they could; the lag shows by how much.
        let kept = kernels::thread::keep_time();
        if cfg!(target_os = "linux") {
            self.notes.change(Note::Priority { at: self.clock.now(), realtime: kept.is_ok() });
        }
        let mut prompt = Vec::new();
        let mut ready = None;
        let mut ended = false;
        let mut in_a_row = 0;
        loop {
            let now = self.clock.now();
            if !ended && self.schedule.is_over(now) {
                ended = true;
                self.end();
            }
            if ready.is_none() {
                ready = self.prepare(&mut prompt);
            }
            let due = self.schedule.next_due();
            let shift_at = self.shifts.front().map(|shift| shift.at);
            if ended && shift_at.is_none() && !self.notes.is_waiting() {
                return;
            }
            let wait = self.wait(now, due, shift_at);
            in_a_row = if wait.is_zero() { in_a_row + 1 } else { 0 };
            if in_a_row == IN_A_ROW {
                in_a_row = 0;
                std::thread::sleep(TURN);
            }
            match self.orders.recv_timeout(wait) {
                Ok(Order::Command(Command::Finish | Command::Abort)) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(order) => {
                    // Another request may be the next one now, or the same another one.
                    ready = None;
                    match order {
                        Order::Command(command) => self.obey(command, ended),
                        Order::Answered(Answered { session, at, answer }) => {
                            self.schedule.answered(session, at, answer);
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.clock.now();
                    if due.is_some_and(|due| due <= now)
                        && let Some((dispatch, turn)) = ready.take()
                    {
                        self.send(dispatch, turn);
                    }
                    if shift_at.is_some_and(|at| at <= now)
                        && let Some(shift) = self.shifts.pop_front()
                    {
                        self.notes.change(Note::Shift { at: now, to: shift.to, how: shift.how });
                    }
                    self.notes.flush();
                }
            }
        }
        if !ended {
            self.end();
        }
    }

    /// How long there is nothing to do but to listen.
    fn wait(&self, now: Micros, due: Option<Micros>, shift_at: Option<Micros>) -> Duration {
        let end = self.schedule.end().filter(|end| *end > now);
        let next = [due, shift_at, end].into_iter().flatten().min();
        let wait = next.map_or(IDLE, |at| self.clock.until(at));
        if self.notes.is_waiting() { wait.min(RETRY) } else { wait }
    }

    /// The next request with its prompt, about a nanosecond a token.
    fn prepare(&self, prompt: &mut Vec<u32>) -> Option<(Dispatch, Option<Turn>)> {
        let prepared = self.schedule.prepare(self.content, prompt)?;
        let dispatch = Dispatch {
            index: prepared.index,
            prompt: Arc::from(prompt.as_slice()),
            said: Arc::from(prepared.said),
            output_tokens: prepared.output_tokens,
            is_repeated: prepared.turn.is_some_and(|turn| !turn.is_last()),
        };
        Some((dispatch, prepared.turn))
    }

    /// Hands over the request that was prepared; everything that takes time comes after. A session goes on with its next turn when
    /// the observing thread tells that this one is over. Where nobody will tell, it is over here.
    fn send(&mut self, dispatch: Dispatch, turn: Option<Turn>) {
        let sent = self.clock.now();
        let taken = match turn {
            Some(turn) if turn.lost => Err(Unsent::TurnBefore),
            _ => self.target.submit(dispatch).map_err(Unsent::Target),
        };
        if let Some(planned) = self.schedule.next() {
            let is_sent = taken.is_ok();
            let told = self.notes.request(match taken {
                Ok(()) => Note::Sent { planned, sent },
                Err(why) => Note::Shed { planned, at: sent, why },
            });
            if let Some(turn) = turn.filter(|_| !(is_sent && told)) {
                self.schedule.answered(turn.session, sent, None);
            }
        }
        self.meters.pacing();
    }

    /// This note must arrive: it waits for room.
    fn end(&mut self) {
        let now = self.clock.now();
        let at = self.schedule.end().map_or(now, |end| end.min(now));
        self.notes.last(Note::Ended { at });
    }

    /// Once the load has ended there is none to change, but shifts and SLOs still have a meaning.
    fn obey(&mut self, order: Command, ended: bool) {
        let at = self.clock.now();
        let note = match order {
            Command::Shift(to, how) => Note::Shift { at, to, how },
            Command::SetSlo(slo) => Note::Slo { at, slo },
            _ if ended => return,
            Command::SetRate(rate_rps) => match self.schedule.set_rate(at, rate_rps) {
                Ok(()) => Note::Rate { at, rate_rps },
                Err(why) => Note::Refused { at, why: format!("the rate stays as it is: {why}") },
            },
            Command::Pause => {
                self.schedule.pause(at);
                Note::Paused { at }
            }
            Command::Resume => {
                self.schedule.resume(at);
                Note::Resumed { at, rate_rps: self.schedule.rate().at(at) }
            }
            Command::Reshape(shape) => match self.schedule.reshape(shape) {
                Ok(()) => Note::Reshaped { at, shape },
                Err(why) => Note::Refused { at, why: format!("the load stays as it is: {why}") },
            },
            // Dealt with by the caller.
            Command::Finish | Command::Abort => return,
        };
        self.notes.change(note);
    }
}
