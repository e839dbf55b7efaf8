//! The control thread: looks, orders and the watch.

use std::sync::Arc;
use std::time::Duration;

use engine::drive::wall::{EngineEvent, Observation};
use engine::remote::{RemoteEngine, RemoteError, RemoteWatch, Topology};
use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval};

use super::missed::Known;
use super::{Listener, Order, Seen};
use crate::control::server_clock::ServerClock;
use crate::target::{TargetEvent, embedded};
use crate::time::Micros;

/// Between two looks: twice as often as the observer asks.
const LOOK: Duration = Duration::from_millis(500);

pub(super) struct Follower<L> {
    engine: RemoteEngine,
    seen: Arc<Seen>,
    clock: Arc<ServerClock>,
    listener: L,
    /// What the listener knows by now.
    known: Known,
    /// The instant of the last event told.
    last: Micros,
}

impl<L: Listener> Follower<L> {
    pub(super) fn new(
        engine: RemoteEngine,
        seen: Arc<Seen>,
        clock: Arc<ServerClock>,
        listener: L,
        first: &Observation,
    ) -> Self {
        Self { engine, seen, clock, listener, known: Known::new(first), last: Micros::ZERO }
    }

    /// Goes on until nobody can give an order any more.
    pub(super) async fn run(mut self, mut orders: Receiver<Order>, watch: RemoteWatch) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Some(watch);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.shift(order, &mut watch).await,
                    None => return,
                },
                _ = looks.tick() => {
                    // Tried again at every look, for as long as it takes; the target tells of an engine that is gone.
                    let _ = self.follow(&mut watch).await;
                    self.look().await;
                }
                event = next(&mut watch) => match event {
                    Some(Ok(event)) => self.event(event).await,
                    Some(Err(_)) | None => watch = None,
                },
            }
        }
    }

    /// Begins the watch anew where it has ended.
    async fn follow(&mut self, watch: &mut Option<RemoteWatch>) -> Result<(), RemoteError> {
        if watch.is_none() {
            let (begun, Topology { observed, .. }) = self.engine.watch().await?;
            *watch = Some(begun);
            self.state(&observed).await;
        }
        Ok(())
    }

    /// A shift is sent only while somebody watches: its end must not go unseen.
    async fn shift(&mut self, Order { to, how, reply }: Order, watch: &mut Option<RemoteWatch>) {
        let answer = match self.follow(watch).await {
            Ok(()) => self.engine.shift(to, how, None).await,
            Err(error) => Err(error),
        };
        if let Ok(id) = answer {
            self.known.asked(id, to, how);
        }
        let answer = answer.map(|_| ()).map_err(|error| match error {
            // In the server's own words, which are those of the embedded engine.
            RemoteError::Status { message, .. } => message,
            error => error.to_string(),
        });
        // Whoever does not wait any more has been told so.
        let _ = reply.try_send(answer);
    }

    async fn look(&mut self) {
        let asked = self.clock.asked();
        if let Ok(Topology { observed, .. }) = self.engine.topology().await {
            self.clock.answered(asked, observed.at);
            self.seen.see(observed);
        }
    }

    /// Tells what has changed by a whole state.
    async fn state(&mut self, now: &Observation) {
        let missed = self.known.missed(now);
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
}

/// When something happened to a unit or a shift.
fn instant(event: &TargetEvent) -> Option<Micros> {
    match event {
        TargetEvent::Unit { at, .. }
        | TargetEvent::ShiftStarted { at, .. }
        | TargetEvent::ShiftEnded { at, .. }
        | TargetEvent::ShiftDropped { at, .. }
        | TargetEvent::UnitLost { at, .. } => Some(*at),
        _ => None,
    }
}

/// The next event of the watch, if there is one to follow.
async fn next(watch: &mut Option<RemoteWatch>) -> Option<Result<EngineEvent, RemoteError>> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
