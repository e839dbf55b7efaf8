//! Sends probes to a target and stamps what comes back: closed loop, one probe at a time, the target idle in between.

use std::sync::Arc;
use std::time::Duration;

use super::reduce::Stamps;
use crate::clock::RunClock;
use crate::sample::{Outcome, ServerSide};
use crate::schedule::Segment;
use crate::target::{Connection, Dispatch, Shed, TargetEvent};
use crate::time::Micros;
use crate::workload::Content;

/// How long one wait for events is.
const WAIT: Duration = Duration::from_millis(200);
/// A target that says nothing for so long while it has requests has lost them, unless it is known to need longer.
pub(super) const SILENCE: Micros = Micros(120_000_000);

/// Why a probe was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It told nothing; the target is there, and the next one may.
    Failed(String),
    /// The target is not.
    Lost(String),
}

/// What came of one request so far.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Tokens of its prompt.
    pub(super) prompt: u32,
    /// When it left.
    pub(super) sent: Micros,
    /// When its tokens arrived.
    pub(super) tokens: Vec<Micros>,
    /// What the target says of it once it is over.
    pub(super) server: Option<ServerSide>,
    is_over: bool,
}

/// An open target and the requests of the probe under way.
#[derive(Debug)]
pub(super) struct Runner {
    connection: Connection,
    clock: RunClock,
    content: Content,
    /// Number of the first request of the probe under way, so that late events of others are told apart.
    first: u64,
    answers: Vec<Answer>,
    fresh: Vec<TargetEvent>,
    heard: Micros,
    /// How long nothing need be heard.
    patience: Micros,
    /// Why the probe under way tells nothing.
    failed: Option<String>,
    cancelling: bool,
}

impl Runner {
    pub(super) fn new(mut connection: Connection, content: Content) -> Self {
        let clock = RunClock::scaled(connection.time_scale);
        connection.events.align(clock);
        Self {
            connection,
            clock,
            content,
            first: 0,
            answers: Vec::new(),
            fresh: Vec::new(),
            heard: Micros::ZERO,
            patience: SILENCE,
            failed: None,
            cancelling: false,
        }
    }

    /// Who stamps the tokens that come.
    pub(super) fn stamps(&self) -> Stamps {
        // What the way to the target costs is known of targets behind a socket alone.
        if self.connection.client.is_some() { Stamps::OnArrival } else { Stamps::ByEngine }
    }

    /// The target's time that this has taken so far.
    pub(super) fn elapsed(&self) -> Micros {
        self.clock.now()
    }

    /// Nothing need be heard for so long, from now on.
    pub(super) fn wait_for(&mut self, patience: Micros) {
        self.patience = patience;
    }

    pub(super) fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// Sends a prompt made of `segments`; returns its place among the answers.
    pub(super) fn send(&mut self, segments: &[Segment], output_tokens: u32) -> Result<usize, Trouble> {
        let mut prompt = Vec::new();
        self.content.fill(segments, &mut prompt);
        let (place, sent) = (self.answers.len(), self.clock.now());
        let index = self.first + place as u64;
        let tokens = prompt.len() as u32;
        let dispatch = Dispatch::alone(index, Arc::from(prompt), output_tokens);
        self.connection.target.submit(dispatch).map_err(|why| match why {
            Shed::Stopped => Trouble::Lost(why.to_string()),
            Shed::InboxFull | Shed::TooMany => Trouble::Failed(why.to_string()),
        })?;
        self.heard = sent;
        self.answers.push(Answer { prompt: tokens, sent, tokens: Vec::new(), server: None, is_over: false });
        Ok(place)
    }

    /// Reads events until `done` says so of the answers.
    pub(super) fn until(&mut self, done: impl Fn(&[Answer]) -> bool) -> Result<(), Trouble> {
        while !done(&self.answers) {
            let mut fresh = std::mem::take(&mut self.fresh);
            let open = self.connection.events.drain(&mut fresh, WAIT);
            let now = self.clock.now();
            if !fresh.is_empty() {
                self.heard = now;
            }
            for event in fresh.drain(..) {
                self.take(event)?;
            }
            self.fresh = fresh;
            if !open && !done(&self.answers) {
                return Err(Trouble::Lost("the target has stopped".to_owned()));
            }
            if let Some(why) = self.failed.take() {
                return Err(Trouble::Failed(why));
            }
            if now.since(self.heard) > self.patience {
                return Err(Trouble::Failed(format!("nothing was heard for {:.0} s", self.patience.as_secs_f64())));
            }
        }
        Ok(())
    }

    /// Gives up what is still under way, waits until the target holds nothing, and hands out the answers.
    pub(super) fn finish(&mut self) -> Result<Vec<Answer>, Trouble> {
        let failed = self.failed.take();
        (self.cancelling, self.heard) = (true, self.clock.now());
        for (place, _) in self.answers.iter().enumerate().filter(|(_, answer)| !answer.is_over) {
            self.connection.target.cancel(self.first + place as u64);
        }
        let ended = self.until(|answers| answers.iter().all(|answer| answer.is_over));
        self.cancelling = false;
        ended?;
        self.first += self.answers.len() as u64;
        let answers = std::mem::take(&mut self.answers);
        failed.map_or(Ok(answers), |why| Err(Trouble::Failed(why)))
    }

    fn take(&mut self, event: TargetEvent) -> Result<(), Trouble> {
        match event {
            TargetEvent::Sent { index, at } => {
                if let Some(answer) = self.answer(index) {
                    answer.sent = at;
                }
            }
            TargetEvent::Token { index, at, .. } => {
                if let Some(answer) = self.answer(index) {
                    answer.tokens.push(at);
                }
            }
            TargetEvent::Ended { index, outcome, server, .. } => {
                let cancelling = self.cancelling;
                let Some(answer) = self.answer(index) else { return Ok(()) };
                answer.is_over = true;
                // The engine's own stamp leaves out what handing over took.
                answer.sent = server.as_ref().and_then(|server| server.arrived).unwrap_or(answer.sent);
                answer.server = server;
                let why = match outcome {
                    Outcome::Completed => return Ok(()),
                    // What was given up may end in any way.
                    _ if cancelling => return Ok(()),
                    Outcome::Failed(failure) => format!("a request failed, {}: {}", failure.kind, failure.message),
                    Outcome::Cut => "an answer was cut".to_owned(),
                    Outcome::Cancelled | Outcome::Shed => "the target gave a request up".to_owned(),
                };
                self.failed.get_or_insert(why);
            }
            TargetEvent::UnitLost { unit, why, .. } => {
                return Err(Trouble::Lost(format!("{unit} was lost: {why}")));
            }
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, index: u64) -> Option<&mut Answer> {
        let place = index.checked_sub(self.first)?;
        self.answers.get_mut(usize::try_from(place).ok()?)
    }
}

impl Answer {
    /// Whether nothing more will come of it.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    #[cfg(test)]
    pub(super) fn of_tokens(prompt: u32, sent: Micros, tokens: Vec<Micros>, server: Option<ServerSide>) -> Self {
        Self { prompt, sent, tokens, server, is_over: true }
    }
}
