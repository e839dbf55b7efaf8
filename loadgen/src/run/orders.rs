//! The commanding thread: it waits for the screen and passes everything on to the pacing thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use tokio::sync::mpsc::Receiver;

use crate::live::Command;

/// Runs until the last sender of commands is gone.
pub(super) fn run(mut commands: Receiver<Command>, orders: &SyncSender<Command>, abort: &AtomicBool) {
    while let Some(command) = commands.blocking_recv() {
        if command == Command::Abort {
            abort.store(true, Ordering::Release);
        }
        // Once the schedule is over nobody listens any more; an abort is still seen by the observing thread.
        let _ = orders.send(command);
    }
}
