//! The load on the in-process handle: one thread that sends what is due and reads the events.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use engine::drive::wall::{EngineEvent, Submission};
use engine::executor::Sampling;
use engine::units::{Nanos, RequestId};

use crate::load::{ANSWER, Outcome, REQUESTS, STREAMS, cpu_time, pause, prompt};
use crate::world;

/// A round.
pub(crate) fn run() -> Outcome {
    let (engine, reader) = world::engine();
    let handle = engine.handle();
    let clock = handle.clock();
    let before = cpu_time();
    let mut outcome = Outcome::default();
    let after = |instant: Nanos, pause: Duration| instant + Nanos(pause.as_nanos() as u64);
    let mut due: BinaryHeap<_> =
        (0..STREAMS).map(|stream| Reverse((after(clock.now(), pause(stream, 0)), stream, 0))).collect();
    let mut sent = vec![Nanos::ZERO; STREAMS * REQUESTS];
    let mut events = Vec::new();
    let mut left = STREAMS * REQUESTS;
    while left > 0 {
        while let Some(&Reverse((instant, stream, request))) = due.peek().filter(|Reverse((at, ..))| *at <= clock.now())
        {
            due.pop();
            debug_assert!(instant <= clock.now());
            let number = stream * REQUESTS + request;
            sent[number] = clock.now();
            let submission = Submission {
                request: RequestId(number as u64),
                prompt: prompt(stream, request).into(),
                output_tokens: ANSWER,
                sampling: Sampling::Greedy,
                stop: Arc::default(),
                logprobs: None,
            };
            handle.submit(submission).expect("room");
        }
        let wait = due.peek().map_or(Duration::from_secs(1), |Reverse((at, ..))| {
            Duration::from_nanos(at.since(clock.now()).0).max(Duration::from_micros(50))
        });
        reader.drain(&mut events, wait);
        for event in events.drain(..) {
            match event {
                EngineEvent::Token { request, index, .. } => {
                    outcome.tokens += 1;
                    if index == 0 {
                        outcome.ttft.push(clock.now().since(sent[request.0 as usize]));
                    }
                }
                EngineEvent::Finished { finished, .. } => {
                    left -= 1;
                    let (stream, request) =
                        (finished.request.0 as usize / REQUESTS, finished.request.0 as usize % REQUESTS + 1);
                    if request < REQUESTS {
                        due.push(Reverse((after(clock.now(), pause(stream, request)), stream, request)));
                    }
                }
                _ => {}
            }
        }
    }
    outcome.cpu = cpu_time().since(before);
    outcome
}
