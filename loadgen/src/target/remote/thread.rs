//! The thread that carries the requests of a remote target.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::{ClientSide, End, Inbox, Protocol, Report, SharedClock, failed};
use crate::sample::{FailureKind, Outcome};
use crate::target::Dispatch;
use crate::text::DurationText;
use crate::time::Micros;

/// Between two readings of the thread's CPU time.
const CHARGE_EVERY: Duration = Duration::from_millis(100);

/// Requests that are to be given up: asked by any thread, looked at by one. Those that are over already are of no interest.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    asked: Mutex<BTreeSet<u64>>,
    news: Notify,
}

impl Cancels {
    pub(super) fn ask(&self, index: u64) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(index);
        self.news.notify_one();
    }

    async fn next(&self) -> BTreeSet<u64> {
        self.news.notified().await;
        std::mem::take(&mut self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the thread works with.
#[derive(Debug)]
pub(super) struct Thread<P> {
    pub(super) protocol: Arc<P>,
    /// Closed when the target is dropped: that ends the thread.
    pub(super) queue: mpsc::Receiver<Dispatch>,
    pub(super) timeout: Duration,
    pub(super) cancels: Arc<Cancels>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) in_flight: Arc<AtomicUsize>,
    pub(super) clock: SharedClock,
    pub(super) client: Arc<ClientSide>,
}

/// Says when the thread is gone, however that came.
struct Closing(Arc<Inbox>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Counts a request in flight down.
struct Flight(Arc<AtomicUsize>);

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<P: Protocol> Thread<P> {
    pub(super) fn run(self, runtime: Runtime) {
        let _closing = Closing(Arc::clone(&self.inbox));
        runtime.block_on(self.carry());
        // A name that is still being resolved is not waited for.
        runtime.shutdown_background();
    }

    async fn carry(mut self) {
        let mut tasks = JoinSet::new();
        let mut running: HashMap<u64, Arc<Notify>> = HashMap::new();
        let mut charging = tokio::time::interval(CHARGE_EVERY);
        charging.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                dispatch = self.queue.recv() => {
                    let Some(dispatch) = dispatch else { return };
                    self.begin(dispatch, &mut tasks, &mut running);
                }
                Some(done) = tasks.join_next() => match done {
                    Ok(index) => _ = running.remove(&index),
                    // A task that panicked would be waited for, for ever: better that the run ends.
                    Err(_) => return,
                },
                asked = self.cancels.next() => {
                    // What was handed over before it was to be given up has begun then.
                    while let Ok(dispatch) = self.queue.try_recv() {
                        self.begin(dispatch, &mut tasks, &mut running);
                    }
                    for given_up in asked.iter().filter_map(|index| running.get(index)) {
                        given_up.notify_one();
                    }
                }
                _ = charging.tick() => self.client.charge(),
            }
        }
    }

    fn begin(&self, dispatch: Dispatch, tasks: &mut JoinSet<u64>, running: &mut HashMap<u64, Arc<Notify>>) {
        let given_up = Arc::new(Notify::new());
        running.insert(dispatch.index, Arc::clone(&given_up));
        tasks.spawn(self.task(dispatch, given_up));
    }

    /// One request from its dispatch to its end.
    fn task(&self, dispatch: Dispatch, given_up: Arc<Notify>) -> impl Future<Output = u64> + Send + use<P> {
        let flight = Flight(Arc::clone(&self.in_flight));
        let protocol = Arc::clone(&self.protocol);
        let limit = self.timeout;
        let index = dispatch.index;
        let mut report = Report::new(index, self.clock.clone(), Arc::clone(&self.inbox));
        async move {
            let served = tokio::select! {
                served = tokio::time::timeout(limit, protocol.serve(dispatch, &mut report)) => served.ok(),
                () = given_up.notified() => Some(Outcome::Cancelled.into()),
            };
            let end = served
                .unwrap_or_else(|| if report.is_completed() { Outcome::Completed.into() } else { timed_out(limit) });
            report.ended(end).await;
            drop(flight);
            index
        }
    }
}

fn timed_out(limit: Duration) -> End {
    let limit = DurationText(Micros(limit.as_micros() as u64));
    failed(FailureKind::Timeout, format!("no end within {limit}")).into()
}
