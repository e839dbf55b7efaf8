//! The commanding thread: it waits for the screen and passes on what concerns the pacing thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use tokio::sync::mpsc::Receiver;

use super::pace::Order;
use crate::live::Command;

/// Runs until the last sender of commands is gone.
pub(super) fn run(mut commands: Receiver<Command>, orders: &SyncSender<Order>, abort: &AtomicBool) {
    while let Some(command) = commands.blocking_recv() {
        let order = match command {
            Command::SetRate(rate_rps) => Order::Rate(rate_rps),
            Command::Pause => Order::Pause,
            Command::Resume => Order::Resume,
            Command::Reshape(shape) => Order::Reshape(shape),
            Command::SetSlo(slo) => Order::Slo(slo),
            Command::Shift(to, how) => Order::Shift(to, how),
            Command::Finish => Order::Finish,
            Command::Abort => {
                abort.store(true, Ordering::Release);
                Order::Finish
            }
        };
        // Once the schedule is over nobody listens any more; an abort is still seen by the observing thread.
        let _ = orders.send(order);
    }
}
