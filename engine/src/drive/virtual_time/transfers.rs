//! Transfers from what the cluster asks for to their acknowledgement.

use super::event::Event;
use super::{Sink, VirtualDriver};
use crate::cluster::{Transfer, TransferId};
use crate::executor::sim::{Timing, TransferShape};
use crate::units::{Nanos, UnitId};

/// A transfer that is not acknowledged yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moving {
    pub(super) from: UnitId,
    pub(super) to: UnitId,
    bytes: u64,
    blocks: u32,
    since: Nanos,
}

impl<T: Timing, S: Sink> VirtualDriver<T, S> {
    pub(super) fn start_transfer(&mut self, now: Nanos, transfer: &Transfer) {
        let source = &self.units[transfer.from.index()];
        let computing = if source.free.nanos == now { source.last_step } else { Nanos::ZERO };
        let shape = TransferShape { tokens: transfer.tokens, blocks: transfer.blocks, computing };
        let work = self.timing.transfer(&shape);
        let Transfer { from, to, blocks, .. } = *transfer;
        self.moving.insert(transfer.id, Moving { from, to, bytes: work.bytes, blocks, since: now });
        // Without bytes to share links for, the end is known at once.
        let then = if work.bytes > 0 { Event::TransferReady(transfer.id) } else { Event::TransferEnds(transfer.id) };
        self.events.push(now + work.setup, then);
    }

    pub(super) fn transfer_is_ready(&mut self, now: Nanos, id: TransferId) {
        match self.moving.get(id) {
            Some(&Moving { from, to, bytes, .. }) if bytes > 0 => self.links.join(now, id, (from, to), bytes),
            Some(_) => self.events.push(now, Event::TransferEnds(id)),
            None => {}
        }
    }

    pub(super) fn end_transfer(&mut self, now: Nanos, id: TransferId) {
        if let Some(Moving { to, bytes, blocks, since, .. }) = self.moving.remove(id) {
            if bytes > 0 {
                self.links.leave(now, id);
            }
            self.sink.transferred(now, to, blocks, since);
        }
        self.cluster.transfer_done(now, id, &mut self.outbox);
    }

    /// Nobody wants the rest of it: others get its share of the links, and it is acknowledged right away. One that is being
    /// set up goes on until it is ready.
    pub(super) fn stop_transfer(&mut self, now: Nanos, id: TransferId) {
        let Some(moving) = self.moving.get_mut(id).filter(|moving| moving.bytes > 0) else { return };
        moving.bytes = 0;
        if self.links.contains(id) {
            self.links.leave(now, id);
            self.events.push(now, Event::TransferEnds(id));
        }
    }
}
