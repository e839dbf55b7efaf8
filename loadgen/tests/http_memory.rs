//! Ten thousand requests to a server that answers at once: what the client holds stops growing.
//!
//! Alone in its file, because it looks at the memory of its whole process.
#![cfg(target_os = "linux")]
#![expect(clippy::expect_used, reason = "a helper of a test may fail it")]

#[path = "http/server.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod server;

use std::sync::Arc;
use std::time::Duration;

use loadgen::clock::RunClock;
use loadgen::run::resident_bytes;
use loadgen::sample::Outcome;
use loadgen::target::http::{self, HttpTarget};
use loadgen::target::{Dispatch, TargetEvent};
use server::{Server, full};

const REQUESTS: u64 = 10_000;
/// In flight at once: as many threads of the server's.
const TOGETHER: u64 = 32;
const PATIENCE: Duration = Duration::from_mins(1);
const MIB: u64 = 1 << 20;

#[test]
fn ten_thousand_requests_take_no_more_memory_than_three_thousand() {
    let server = Server::new(full);
    let target = HttpTarget::new(server.url().parse().expect("an address"));
    let mut connection = http::open(target).expect("a target");
    connection.events.align(RunClock::start());
    let (mut sent, mut completed, mut tokens, mut early) = (0, 0, 0, None);
    let mut events = Vec::new();
    while completed < REQUESTS {
        while sent < REQUESTS && sent - completed < TOGETHER {
            let dispatch = Dispatch::alone(sent, Arc::from([1_u32; 64]), 16);
            connection.target.submit(dispatch).expect("there is room");
            sent += 1;
        }
        assert!(connection.events.drain(&mut events, PATIENCE), "the target has stopped");
        for event in events.drain(..) {
            match event {
                TargetEvent::Token { .. } => tokens += 1,
                TargetEvent::Ended { outcome, .. } => {
                    assert_eq!(outcome, Outcome::Completed);
                    completed += 1;
                }
                _ => {}
            }
        }
        if completed >= 3 * REQUESTS / 10 {
            early.get_or_insert_with(resident_bytes);
        }
    }
    assert_eq!(tokens, 16 * REQUESTS);
    let (early, late) = (early.expect("it was looked at"), resident_bytes());
    assert!(late < early + 8 * MIB, "{} MiB after three thousand, {} at the end", early / MIB, late / MIB);
}
