//! The thread that brings submissions to the cluster, so that whoever submits never waits for its lock, and that looks
//! after deadlines.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::event::{EngineEvent, SubmissionRefused};
use super::handle::{Message, Submission};
use super::request::RequestTokens;
use super::shared::Shared;
use crate::block_hash;
use crate::cluster::Arrival;

/// How long the thread sleeps when nothing is due.
const IDLE: Duration = Duration::from_hours(1);

/// Runs until the engine closes.
pub(super) fn run(shared: &Shared, messages: &Receiver<Message>) {
    while let Some(wait) = until_next_deadline(shared) {
        match messages.recv_timeout(wait) {
            Ok(Message::Submit(submission)) => {
                submit(shared, submission);
                // Every request ends in events: those who submit faster than events are read find the inbox full.
                shared.events.wait_for_room();
            }
            Ok(Message::Cancel(request)) => _ = shared.cancel(request),
            Ok(Message::Look) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Applies the deadlines that have passed and says how long there is nothing else to do. `None` when the engine closes.
fn until_next_deadline(shared: &Shared) -> Option<Duration> {
    let mut guard = shared.lock();
    let state = &mut *guard;
    loop {
        if state.closing {
            return None;
        }
        let now = shared.clock.now();
        match state.cluster.next_deadline() {
            None => return Some(IDLE),
            Some(at) if at > now => return Some(Duration::from_nanos(at.since(now).0)),
            Some(_) => {
                state.cluster.deadline(now, &mut state.outbox);
                shared.settle(state, now);
            }
        }
    }
}

fn submit(shared: &Shared, submission: Submission) {
    let Submission { request, prompt, output_tokens, sampling, stop, logprobs } = submission;
    let hashes = block_hash::hashes(&prompt, shared.block_tokens);
    let foreign = prompt.iter().find(|&&token| token >= shared.vocabulary);
    let tokens = RequestTokens::new(&prompt, sampling, stop, logprobs, hashes.clone());
    let arrival = Arrival { request, prompt_tokens: prompt.len() as u32, output_tokens, prompt_hashes: hashes.into() };

    let mut guard = shared.lock();
    let state = &mut *guard;
    let now = shared.clock.now();
    let accepted = match foreign {
        Some(&token) => Err(SubmissionRefused::UnknownToken { token, vocabulary: shared.vocabulary }),
        None => state.cluster.arrive(now, arrival, &mut state.outbox).map_err(SubmissionRefused::from),
    };
    match accepted {
        Ok(()) => state.admit(request, tokens),
        Err(why) => {
            shared.open.leave();
            state.events.push(EngineEvent::Refused { at: now, request, why });
        }
    }
    shared.settle(state, now);
}
