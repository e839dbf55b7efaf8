//! The control thread: looks, orders and the watch.

use std::sync::Arc;
use std::time::Duration;

use engine::drive::wall::Observation;
use engine::remote::{RemoteEngine, RemoteError, RemoteWatch, Topology, WatchEvent};
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
                    Some(Ok(event)) => self.tell(event).await,
                    Some(Err(_)) | None => watch = None,
                },
            }
        }
    }

    /// Begins the watch anew where it has ended.
    async fn follow(&mut self, watch: &mut Option<RemoteWatch>) -> Result<(), RemoteError> {
        if watch.is_none() {
            let (begun, topology) = begin(&self.engine).await?;
            *watch = Some(begun);
            self.tell(WatchEvent::State(topology)).await;
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

    async fn tell(&mut self, event: WatchEvent) {
        let now = self.listener.now();
        // A better reading of the server's clock must not turn the order of events around.
        let on_run = |at| self.clock.on_run(at, now).max(self.last);
        let mut events: Vec<TargetEvent> = match event {
            WatchEvent::State(Topology { observed, .. }) => {
                let missed = self.known.missed(&observed);
                missed.into_iter().filter_map(|event| embedded::translate(event, on_run)).collect()
            }
            WatchEvent::Event(event) => {
                self.known.told(&event);
                embedded::translate(event, on_run).into_iter().collect()
            }
        };
        self.last = events.iter().filter_map(instant).fold(self.last, Micros::max);
        self.listener.tell(&mut events).await;
    }
}

/// Begins a watch, with the state that it begins with.
pub(super) async fn begin(engine: &RemoteEngine) -> Result<(RemoteWatch, Topology), RemoteError> {
    let mut watch = engine.watch().await?;
    match watch.next().await {
        Some(Ok(WatchEvent::State(topology))) => Ok((watch, topology)),
        Some(Err(error)) => Err(error),
        Some(Ok(WatchEvent::Event(_))) | None => {
            let (address, why) = (engine.address().clone(), "a watch without a first state".to_owned());
            Err(RemoteError::Malformed { address, why })
        }
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
async fn next(watch: &mut Option<RemoteWatch>) -> Option<Result<WatchEvent, RemoteError>> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
