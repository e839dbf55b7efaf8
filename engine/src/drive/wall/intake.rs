//! The thread that brings submissions to the cluster, so that whoever submits never waits for its lock.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::event::EngineEvent;
use super::handle::{Message, Submission};
use super::request::RequestTokens;
use super::shared::Shared;
use crate::block_hash;
use crate::cluster::Arrival;

/// How long the thread sleeps when nothing is due.
const IDLE: Duration = Duration::from_hours(1);

/// Runs until the engine closes.
pub(super) fn run(shared: &Shared, messages: &Receiver<Message>) {
    loop {
        let wait = {
            let state = shared.lock();
            if state.closing {
                return;
            }
            state.cluster.next_deadline().map_or(IDLE, |at| Duration::from_nanos(at.since(shared.clock.now()).0))
        };
        match messages.recv_timeout(wait) {
            Ok(Message::Submit(submission)) => submit(shared, submission),
            Ok(Message::Cancel(request)) => _ = shared.cancel(request),
            // A shift was asked for: its deadline may be nearer than what was waited for.
            Ok(Message::Look) => {}
            Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let mut state = shared.lock();
                let now = shared.clock.now();
                let state = &mut *state;
                state.cluster.deadline(now, &mut state.outbox);
                shared.settle(state, now);
            }
        }
    }
}

fn submit(shared: &Shared, submission: Submission) {
    let Submission { request, prompt, output_tokens, sampling, stop } = submission;
    let hashes = block_hash::hashes(&prompt, shared.block_tokens);
    let tokens = RequestTokens::new(&prompt, output_tokens, sampling, stop, hashes.clone());
    let arrival = Arrival { request, prompt_tokens: prompt.len() as u32, output_tokens, prompt_hashes: hashes.into() };

    let mut state = shared.lock();
    let now = shared.clock.now();
    let state = &mut *state;
    // First, because the arrival may already end the request.
    state.requests.insert(request, tokens);
    if let Err(refused) = state.cluster.arrive(now, arrival, &mut state.outbox) {
        state.requests.remove(&request);
        state.events.push(EngineEvent::Refused { at: now, request, why: refused.to_string() });
    }
    shared.settle(state, now);
}
