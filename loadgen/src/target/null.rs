//! A target that answers at once: what is left is the tool's own lateness.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use engine::units::Split;

use super::{Connection, Dispatch, Shed, Target, TargetEvent, TargetEvents, TargetInfo, TargetLimits};
use crate::clock::RunClock;
use crate::sample::Outcome;

/// Requests that may wait to be read before the next one is shed.
const INBOX: usize = 65_536;

/// A target whose every answer has one token, which arrives when it is read.
pub fn connect() -> Connection {
    let (sender, receiver) = sync_channel(INBOX);
    let limits = TargetLimits { context_tokens: 1 << 20, kv_tokens: 1 << 20, vocabulary: 1 << 16 };
    let split = Split { prefill: 0, decode: 0, aggregated: 1 };
    Connection {
        info: TargetInfo {
            name: "null".to_owned(),
            model: "none".to_owned(),
            split: Some(split),
            limits,
            facts: BTreeMap::new(),
        },
        target: Arc::new(Null { sender }),
        events: Box::new(NullEvents { receiver, clock: RunClock::start() }),
        terms: None,
        control: None,
        metrics: None,
        client: None,
        time_scale: 1.0,
        tells_answers: true,
        remarks: Vec::new(),
    }
}

#[derive(Debug)]
struct Null {
    sender: SyncSender<u64>,
}

impl Target for Null {
    fn submit(&self, dispatch: Dispatch) -> Result<(), Shed> {
        self.sender.try_send(dispatch.index).map_err(|error| match error {
            TrySendError::Full(_) => Shed::InboxFull,
            TrySendError::Disconnected(_) => Shed::Stopped,
        })
    }

    fn cancel(&self, _index: u64) {}
}

#[derive(Debug)]
struct NullEvents {
    receiver: Receiver<u64>,
    clock: RunClock,
}

impl TargetEvents for NullEvents {
    fn align(&mut self, clock: RunClock) {
        self.clock = clock;
    }

    fn drain(&mut self, into: &mut Vec<TargetEvent>, wait: Duration) -> bool {
        let first = match self.receiver.recv_timeout(wait) {
            Ok(index) => Some(index),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return false,
        };
        let indices: Vec<u64> = first.into_iter().chain(self.receiver.try_iter()).collect();
        // Once all of them are here: none is over before it was sent.
        let at = self.clock.now();
        for index in indices {
            into.push(TargetEvent::Token { index, at, token: Some(0), logits_digest: 0 });
            into.push(TargetEvent::Ended { index, at, outcome: Outcome::Completed, server: None });
        }
        true
    }
}
