//! The commanding thread: it waits for the screen and passes everything on to the pacing thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use tokio::sync::mpsc::Receiver;

use crate::live::Command;
use crate::schedule::Answer;
use crate::time::Micros;

/// What the pacing thread is told.
#[derive(Debug)]
pub(super) enum Order {
    /// By the operator, or whoever ends the run.
    Command(Command),
    /// By the observing thread: a turn that others follow is over.
    Answered(Answered),
}

/// A turn that others follow is over.
#[derive(Debug)]
pub(super) struct Answered {
    /// Of which session.
    pub(super) session: u64,
    /// When.
    pub(super) at: Micros,
    /// What the next turn goes on from; `None` where it did not complete or its answer was not told.
    pub(super) answer: Option<Answer>,
}

/// Runs until the last sender of commands is gone.
pub(super) fn run(mut commands: Receiver<Command>, orders: &SyncSender<Order>, abort: &AtomicBool) {
    while let Some(command) = commands.blocking_recv() {
        if command == Command::Abort {
            abort.store(true, Ordering::Release);
        }
        // Once the schedule is over nobody listens any more; an abort is still seen by the observing thread.
        let _ = orders.send(Order::Command(command));
    }
}
