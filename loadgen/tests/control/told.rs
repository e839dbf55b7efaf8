//! Who is told what a control tells.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};

use loadgen::clock::RunClock;
use loadgen::control::listener::Listener;
use loadgen::target::TargetEvent;
use loadgen::time::Micros;
use tokio::sync::Semaphore;

use crate::world::PATIENCE;

/// Keeps what it is told.
#[derive(Clone)]
pub(crate) struct Told {
    clock: RunClock,
    events: Arc<(Mutex<Vec<TargetEvent>>, Condvar)>,
    /// While there is no permit, whoever tells something waits.
    pub(crate) ear: Arc<Semaphore>,
    _lent: Option<SyncSender<()>>,
}

impl Told {
    pub(crate) fn new() -> Self {
        let ear = Arc::new(Semaphore::new(1));
        Self { clock: RunClock::start(), events: Arc::default(), ear, _lent: None }
    }

    /// Everything that was told, once `is_enough` of it.
    pub(crate) fn until(&self, is_enough: impl Fn(&[TargetEvent]) -> bool) -> Vec<TargetEvent> {
        let (events, bell) = &*self.events;
        let wait = bell.wait_timeout_while(events.lock().unwrap(), PATIENCE, |events| !is_enough(events)).unwrap();
        assert!(!wait.1.timed_out(), "{:?}", wait.0);
        wait.0.clone()
    }

    /// The first event that is one.
    pub(crate) fn first<T>(&self, wanted: impl Fn(&TargetEvent) -> Option<T>) -> T {
        self.until(|events| events.iter().any(|event| wanted(event).is_some())).iter().find_map(wanted).expect("it is")
    }

    /// The same ears, and what is disconnected once whoever has them has let go of them.
    pub(crate) fn lent(&self) -> (Self, Receiver<()>) {
        let (lent, returned) = sync_channel(0);
        (Self { _lent: Some(lent), ..self.clone() }, returned)
    }
}

impl Listener for Told {
    async fn tell(&self, events: &mut Vec<TargetEvent>) {
        let _heard = self.ear.acquire().await.expect("never closed");
        let (told, bell) = &*self.events;
        told.lock().unwrap().append(events);
        bell.notify_all();
    }

    fn now(&self) -> Micros {
        self.clock.now()
    }
}
