//! The target under test, driven by hand.

use std::sync::Arc;
use std::time::Duration;

use loadgen::clock::RunClock;
use loadgen::sample::{Account, Outcome};
use loadgen::target::http::{self, ApiKey, HttpTarget, OpenError};
use loadgen::target::{Connection, Dispatch, TargetEvent};

/// Longer than any test may take: a target that says nothing fails by the harness's patience.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn target(url: &str) -> HttpTarget {
    HttpTarget::new(url.parse().expect("an address"))
}

pub(crate) fn with_key(url: &str, key: &str) -> HttpTarget {
    HttpTarget { key: ApiKey::new(key.to_owned()), ..target(url) }
}

pub(crate) fn refused(target: HttpTarget) -> OpenError {
    http::open(target).expect_err("it cannot be opened")
}

/// An open target and what it has told.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) events: Vec<TargetEvent>,
}

impl Client {
    pub(crate) fn new(target: HttpTarget) -> Self {
        Self::of(http::open(target).expect("an open target"))
    }

    pub(crate) fn of(mut connection: Connection) -> Self {
        connection.events.align(RunClock::start());
        Self { connection, events: Vec::new() }
    }

    pub(crate) fn submit(&self, index: u64, output_tokens: u32) {
        let dispatch = Dispatch::alone(index, Arc::from([1, 2, 3, 4]), output_tokens);
        self.connection.target.submit(dispatch).expect("it is taken");
    }

    /// Reads until there is an event like this.
    pub(crate) fn until(&mut self, wanted: impl Fn(&TargetEvent) -> bool) {
        while !self.events.iter().any(&wanted) {
            assert!(self.connection.events.drain(&mut self.events, PATIENCE), "the target has stopped");
        }
    }

    /// Asks for an answer of `output_tokens` and reads it to its end.
    pub(crate) fn ask(&mut self, index: u64, output_tokens: u32) -> Answered {
        self.submit(index, output_tokens);
        self.answered(index)
    }

    /// Reads to the end of a request.
    pub(crate) fn answered(&mut self, wanted: u64) -> Answered {
        self.until(|event| matches!(event, TargetEvent::Ended { index, .. } if *index == wanted));
        let mut answered = Answered {
            sent: false,
            tokens: Vec::new(),
            arrivals: 0,
            counted: None,
            account: Account::default(),
            outcome: Outcome::Shed,
        };
        let mut last = None;
        for event in &self.events {
            match event {
                TargetEvent::Sent { index, .. } if *index == wanted => {
                    assert!(!answered.sent && answered.tokens.is_empty(), "told once, before anything else");
                    answered.sent = true;
                }
                TargetEvent::Token { index, at, token, .. } if *index == wanted => {
                    answered.tokens.push(*token);
                    answered.arrivals += u32::from(last.replace(*at) != Some(*at));
                }
                TargetEvent::Counted { index, tokens, account } if *index == wanted => {
                    (answered.counted, answered.account) = (*tokens, *account);
                }
                TargetEvent::Ended { index, outcome, .. } if *index == wanted => answered.outcome = outcome.clone(),
                _ => {}
            }
        }
        answered
    }
}

/// What was told of a request.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) sent: bool,
    pub(crate) tokens: Vec<Option<u32>>,
    /// Different instants at which tokens came.
    pub(crate) arrivals: u32,
    pub(crate) counted: Option<u32>,
    pub(crate) account: Account,
    pub(crate) outcome: Outcome,
}

impl Answered {
    /// The failure, as `kind: message`.
    pub(crate) fn failure(&self) -> String {
        match &self.outcome {
            Outcome::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
            other => panic!("{other:?}"),
        }
    }
}
