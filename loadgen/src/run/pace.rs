//! The pacing thread: it makes the next prompt while there is time, waits until the request is due, and hands it over.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
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
/// Orders that are taken between a request that was due and the next that may be: each answer that is told is one, and they come in
/// floods. More than one for each request, so that they are caught up with.
const ORDERS_BETWEEN: usize = 16;
/// Requests sent without waiting once, after which everybody else gets a turn: the thread may be in the real-time class.
const IN_A_ROW: u32 = 256;
/// That turn.
const TURN: Duration = Duration::from_micros(20);
/// Between two attempts to pass on notes that found their queue full.
const RETRY: Duration = Duration::from_millis(10);

/// The request that leaves next.
#[derive(Debug)]
struct Ready {
    dispatch: Dispatch,
    /// Which turn of a session it is, if of any.
    turn: Option<Turn>,
}

/// How far the thread has come.
#[derive(Debug, Default)]
struct Progress {
    ready: Option<Ready>,
    /// The schedule is over.
    ended: bool,
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
        let mut progress = Progress::default();
        let mut in_a_row = 0;
        loop {
            let now = self.clock.now();
            if !progress.ended && self.schedule.is_over(now) {
                progress.ended = true;
                self.end();
            }
            if progress.ready.is_none() {
                progress.ready = self.prepare(&mut prompt);
            }
            let due = self.schedule.next_due();
            let shift_at = self.shifts.front().map(|shift| shift.at);
            if progress.ended && shift_at.is_none() && !self.notes.is_waiting() {
                return;
            }
            let wait = self.wait(now, due, shift_at);
            in_a_row = if wait.is_zero() { in_a_row + 1 } else { 0 };
            if in_a_row == IN_A_ROW {
                in_a_row = 0;
                std::thread::sleep(TURN);
            }
            let flow =
                if wait.is_zero() { self.do_what_is_due(&mut progress) } else { self.listen(wait, &mut progress) };
            if flow.is_break() {
                break;
            }
        }
        if !progress.ended {
            self.end();
        }
    }

    /// Waits for an order for so long.
    fn listen(&mut self, wait: Duration, progress: &mut Progress) -> ControlFlow<()> {
        match self.orders.recv_timeout(wait) {
            Ok(order) => self.take(order, progress),
            Err(RecvTimeoutError::Timeout) => self.do_what_is_due(progress),
            Err(RecvTimeoutError::Disconnected) => ControlFlow::Break(()),
        }
    }

    /// What is due comes before the orders that wait, of which a few are taken then.
    fn do_what_is_due(&mut self, progress: &mut Progress) -> ControlFlow<()> {
        let now = self.clock.now();
        if self.schedule.next_due().is_some_and(|due| due <= now)
            && let Some(ready) = progress.ready.take()
        {
            self.send(ready);
        }
        if self.shifts.front().is_some_and(|shift| shift.at <= now)
            && let Some(shift) = self.shifts.pop_front()
        {
            self.notes.change(Note::Shift { at: now, to: shift.to, how: shift.how });
        }
        self.notes.flush();
        for _ in 0..ORDERS_BETWEEN {
            match self.orders.try_recv() {
                Ok(order) => self.take(order, progress)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return ControlFlow::Break(()),
            }
        }
        ControlFlow::Continue(())
    }

    /// Does what an order says; that the run is to end breaks off. What was prepared is kept as long as it is what leaves next.
    fn take(&mut self, order: Order, progress: &mut Progress) -> ControlFlow<()> {
        match order {
            Order::Command(Command::Finish | Command::Abort) => return ControlFlow::Break(()),
            Order::Command(command) => {
                progress.ready = None;
                self.obey(command, progress.ended);
            }
            Order::Answered(Answered { session, at, answer }) => {
                self.schedule.answered(session, at, answer);
                progress.ready.take_if(|ready| !self.schedule.is_next(ready.turn));
            }
        }
        ControlFlow::Continue(())
    }

    /// How long there is nothing to do but to listen.
    fn wait(&self, now: Micros, due: Option<Micros>, shift_at: Option<Micros>) -> Duration {
        let end = self.schedule.end().filter(|end| *end > now);
        let next = [due, shift_at, end].into_iter().flatten().min();
        let wait = next.map_or(IDLE, |at| self.clock.until(at));
        if self.notes.is_waiting() { wait.min(RETRY) } else { wait }
    }

    /// The next request with its prompt, about a nanosecond a token.
    fn prepare(&self, prompt: &mut Vec<u32>) -> Option<Ready> {
        let prepared = self.schedule.prepare(self.content, prompt)?;
        let dispatch = Dispatch {
            index: prepared.index,
            prompt: Arc::from(prompt.as_slice()),
            said: Arc::from(prepared.said),
            output_tokens: prepared.output_tokens,
            is_repeated: prepared.turn.is_some_and(|turn| !turn.is_last()),
        };
        Some(Ready { dispatch, turn: prepared.turn })
    }

    /// Hands over the request that was prepared; everything that takes time comes after. A session goes on with its next turn when
    /// the observing thread tells that this one is over. Where nobody will tell, it is over here.
    fn send(&mut self, Ready { dispatch, turn }: Ready) {
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

#[cfg(test)]
mod tests;
