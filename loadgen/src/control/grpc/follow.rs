//! The control thread: looks, orders and the watch.

use std::sync::Arc;
use std::time::Duration;

use engine::drive::wall::{EngineEvent, Observation};
use engine::remote::{RemoteEngine, RemoteError, RemoteWatch, Topology};
use engine::units::Nanos;
use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval};

use super::missed::Known;
use super::{Order, Seen};
use crate::control::listener::Listener;
use crate::control::server_clock::ServerClock;
use crate::target::{TargetEvent, embedded};
use crate::time::Micros;

/// Between two looks: twice as often as the observer asks.
const LOOK: Duration = Duration::from_millis(500);
/// Looks in a row that may find nobody before shifts are not waited for any more: some seconds where the engine has gone, more
/// where nothing answers.
const PATIENCE: u32 = 6;

pub(super) struct Follower<L> {
    engine: RemoteEngine,
    seen: Arc<Seen>,
    clock: Arc<ServerClock>,
    listener: L,
    watch: Option<RemoteWatch>,
    /// What the listener knows by now.
    known: Known,
    /// The instant of the last event told.
    last: Micros,
    /// Looks in a row that found nobody.
    unanswered: u32,
}

impl<L: Listener> Follower<L> {
    /// `watch` was begun with the state `first`.
    pub(super) fn new(
        engine: RemoteEngine,
        seen: Arc<Seen>,
        clock: Arc<ServerClock>,
        listener: L,
        (watch, first): (RemoteWatch, &Observation),
    ) -> Self {
        let (watch, known) = (Some(watch), Known::new(first));
        Self { engine, seen, clock, listener, watch, known, last: Micros::ZERO, unanswered: 0 }
    }

    /// Goes on until nobody can give an order any more.
    pub(super) async fn run(mut self, mut orders: Receiver<Order>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = orders.recv() => {
                    let Some(order) = order else { return };
                    let followed = self.follow().await;
                    // Orders outlive whoever gave them; nobody wants them any more.
                    if orders.is_closed() {
                        return;
                    }
                    self.shift(order, followed).await;
                }
                _ = looks.tick() => {
                    // Tried again at every look, for as long as it takes; the target tells of an engine that is gone.
                    let _ = self.follow().await;
                    self.look().await;
                }
                event = next(&mut self.watch) => match event {
                    Some(Ok(event)) => self.event(event).await,
                    Some(Err(_)) | None => self.watch = None,
                },
            }
        }
    }

    /// Begins the watch anew where it has ended.
    async fn follow(&mut self) -> Result<(), RemoteError> {
        if self.watch.is_none() {
            let (begun, Topology { observed, .. }) = self.engine.watch().await?;
            self.saw(&observed).await;
            self.state(&observed).await;
            self.watch = Some(begun);
        }
        Ok(())
    }

    /// A shift is sent only while somebody watches: its end must not go unseen. The answer is told before anything that the
    /// watch has to say, which is not read meanwhile.
    async fn shift(&mut self, Order { to, how }: Order, followed: Result<(), RemoteError>) {
        let answer = match followed {
            Ok(()) => self.engine.shift(to, how, None).await.map_err(|error| match error {
                // In the server's own words, which are those of the embedded engine.
                RemoteError::Status { message, .. } => message,
                RemoteError::Connect { .. } => error.to_string(),
                RemoteError::Timeout { .. } | RemoteError::Broken { .. } | RemoteError::Malformed { .. } => {
                    format!("{error}; it may or may not have been taken")
                }
            }),
            Err(error) => Err(error.to_string()),
        };
        let at = self.now();
        let answer = match answer {
            Ok(id) => {
                self.known.asked(id, to, how);
                TargetEvent::ShiftAccepted { at, id, to, how }
            }
            Err(why) => TargetEvent::ShiftRefused { at, to, how, why },
        };
        self.say(answer).await;
    }

    async fn look(&mut self) {
        let asked = self.clock.asked();
        match self.engine.topology().await {
            Ok(Topology { observed, .. }) => {
                self.unanswered = 0;
                self.saw(&observed).await;
                self.clock.answered(asked, observed.at);
                // An engine that cannot be watched can be looked at.
                if self.watch.is_none() {
                    self.state(&observed).await;
                }
            }
            Err(error) => {
                self.unanswered = self.unanswered.saturating_add(1);
                // While the watch stands, the connection may do so, too.
                if self.watch.is_none() && self.unanswered >= PATIENCE {
                    self.give_up(self.seen.last(), &format!("the engine does not answer any more: {error}")).await;
                }
            }
        }
    }

    /// Takes in how the engine is; one that was started anew has forgotten everything, and has another clock.
    async fn saw(&mut self, now: &Observation) {
        if let Some(before) = self.seen.see(now.clone()) {
            // What the old engine tells still is of no use.
            self.watch = None;
            self.give_up(before, "the engine was started anew").await;
            self.clock.forget();
            let (at, text) = (self.now(), "the engine was started anew: its figures begin again".to_owned());
            self.say(TargetEvent::Remark { at, text }).await;
        }
    }

    /// Nobody will tell the end of what is open.
    async fn give_up(&mut self, at: Nanos, why: &str) {
        let lost = self.known.lost(at, why);
        self.tell(lost).await;
    }

    /// Tells what has changed by a whole state.
    async fn state(&mut self, now: &Observation) {
        let missed = self.known.missed(now);
        if !missed.is_empty() {
            let text = "the engine was out of sight: what is told now has happened since".to_owned();
            self.say(TargetEvent::Remark { at: self.now(), text }).await;
        }
        self.tell(missed).await;
    }

    async fn event(&mut self, event: EngineEvent) {
        self.known.told(&event);
        self.tell(vec![event]).await;
    }

    async fn tell(&mut self, events: Vec<EngineEvent>) {
        let now = self.listener.now();
        // A better reading of the server's clock must not turn the order of events around.
        let on_run = |at| self.clock.on_run(at, now).max(self.last);
        let mut events: Vec<_> = events.into_iter().filter_map(|event| embedded::translate(event, on_run)).collect();
        self.last = events.iter().filter_map(instant).fold(self.last, Micros::max);
        self.listener.tell(&mut events).await;
    }

    /// Tells what is no event of the engine's.
    async fn say(&mut self, event: TargetEvent) {
        self.last = instant(&event).map_or(self.last, |at| at.max(self.last));
        self.listener.tell(&mut vec![event]).await;
    }

    /// Now, in the order of what was told.
    fn now(&self) -> Micros {
        self.listener.now().max(self.last)
    }
}

/// When something happened to a unit or a shift.
fn instant(event: &TargetEvent) -> Option<Micros> {
    match event {
        TargetEvent::Unit { at, .. }
        | TargetEvent::ShiftAccepted { at, .. }
        | TargetEvent::ShiftRefused { at, .. }
        | TargetEvent::ShiftStarted { at, .. }
        | TargetEvent::ShiftEnded { at, .. }
        | TargetEvent::ShiftDropped { at, .. }
        | TargetEvent::UnitLost { at, .. }
        | TargetEvent::Remark { at, .. } => Some(*at),
        TargetEvent::Sent { .. }
        | TargetEvent::Token { .. }
        | TargetEvent::Said { .. }
        | TargetEvent::Counted { .. }
        | TargetEvent::Ended { .. } => None,
    }
}

/// The next event of the watch, if there is one to follow.
async fn next(watch: &mut Option<RemoteWatch>) -> Option<Result<EngineEvent, RemoteError>> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
