//! The thread that reads the pages.
//!
//! ```text
//!   metrics thread ── a round each second: all pages at once ──► readings (bounded) ──► observing thread
//! ```
//!
//! # Bounds, and what happens at each
//! - A page: 8 MiB and 2 s; more is a failed scrape. A source rests twenty times as long as its page took to be
//!   read, so that the largest pages cost a twentieth of a core.
//! - Sources, rows and series: more are left out, and that is said once.
//! - Readings that wait to be taken: [`WAITING`]; then the oldest go.

mod discovery;
mod fetch;
mod naming;
mod scraper;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::source::MetricsAt;
use crate::clock::RunClock;
use crate::recording::ServerRecord;
use crate::time::Micros;
use scraper::Scraper;

/// How long the last round of a run may take.
const LAST: Duration = Duration::from_secs(3);
/// How long an unused connection is kept: servers close theirs after 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// Readings that wait to be taken.
const WAITING: usize = 4_096;

/// What came of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// What a server tells, or that it does not.
    Server(Box<ServerRecord>),
    /// Something that people want to read of, once.
    Remark {
        /// When.
        at: Micros,
        /// A sentence.
        text: String,
    },
}

/// The pages of a run's servers. Dropped, it ends its thread.
#[derive(Debug)]
pub struct Metrics {
    shared: Arc<Shared>,
    asks: mpsc::Sender<SyncSender<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The run's clock, once there is a run.
    clock: Mutex<Option<RunClock>>,
    readings: Mutex<VecDeque<Reading>>,
    cpu_us: AtomicU64,
}

impl Shared {
    fn now(&self) -> Micros {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).map_or(Micros::ZERO, |clock| clock.now())
    }

    fn push(&self, reading: Reading) {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if readings.len() >= WAITING {
            readings.pop_front();
        }
        readings.push_back(reading);
    }
}

impl Metrics {
    /// Reads every page once, so that all that is counted from here on is the run's, and goes on with it. Blocks for
    /// two seconds at most, so it is not for async code. `None` where there is nothing to be read.
    ///
    /// # Errors
    /// One line: why the system has no client or thread for it.
    pub fn open(at: MetricsAt) -> Result<Option<Self>, String> {
        let client = crate::http::client(IDLE, &at.http.of_controls())?;
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().max_blocking_threads(1).thread_name("resolve").build();
        let runtime = runtime.map_err(|error| format!("cannot start the metrics thread: {error}"))?;
        let shared = Arc::new(Shared::default());
        let period = at.period;
        let mut scraper = Scraper::new(at, client, Arc::clone(&shared));
        runtime.block_on(scraper.round());
        if scraper.is_idle() {
            return Ok(None);
        }
        let (asks, asked) = mpsc::channel(1);
        let thread = std::thread::Builder::new().name("metrics".to_owned());
        let run = move || carry(runtime, scraper, period, asked);
        thread.spawn(run).map_err(|error| format!("cannot start the metrics thread: {error}"))?;
        Ok(Some(Self { shared, asks }))
    }

    /// From now on instants are those of this clock.
    pub(crate) fn align(&self, clock: RunClock) {
        *self.shared.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock);
    }

    /// What has come since this was last asked.
    pub(crate) fn take(&self) -> VecDeque<Reading> {
        std::mem::take(&mut self.shared.readings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads every page once more and waits for that, but not for long.
    pub(crate) fn last(&self) {
        let (done, waits) = sync_channel(1);
        if self.asks.try_send(done).is_ok() {
            let _ = waits.recv_timeout(LAST);
        }
    }

    /// CPU time of the thread.
    pub(crate) fn cpu(&self) -> Cpu {
        Cpu(Arc::clone(&self.shared))
    }
}

/// The CPU time of the thread.
#[derive(Clone, Debug)]
pub(crate) struct Cpu(Arc<Shared>);

impl Cpu {
    pub(crate) fn time(&self) -> Micros {
        Micros(self.0.cpu_us.load(Ordering::Relaxed))
    }
}

fn carry(runtime: Runtime, mut scraper: Scraper, period: Duration, mut asked: mpsc::Receiver<SyncSender<()>>) {
    runtime.block_on(async {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one comes at once, and the first round is over.
        ticks.tick().await;
        loop {
            tokio::select! {
                done = asked.recv() => {
                    let Some(done) = done else { return };
                    scraper.wake();
                    scraper.round().await;
                    // Full or gone only when nobody waits any more.
                    let _ = done.try_send(());
                }
                _ = ticks.tick() => scraper.round().await,
            }
        }
    });
    runtime.shutdown_background();
}
