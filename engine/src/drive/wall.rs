//! Wall time around a cluster and its executors.
//!
//! ```text
//!   handle ──bounded inbox──► intake thread ──┐
//!                                             ▼
//!   unit thread 0..n:  lock ─ apply the finished step ─ take the next plan ─ unlock ─ compute ─┐
//!          ▲                                                                                   │
//!          └───────────────────────────────────────────────────────────────────────────────────┘
//!   every change, in the order of the lock ──► event queue ──► the one reader
//! ```
//!
//! No thread stands between a unit's step and its next one: the thread that computed a step applies its result itself.

mod config;
mod event;
mod handle;
mod intake;
mod open;
mod request;
mod shared;
mod shifts;
mod unit;

pub use config::{EngineError, Pace, WallConfig};
pub use event::{EngineEvent, EventReader, SubmissionRefused};
pub(super) use event::{EventQueue, queue};
pub(super) use handle::Core;
pub use handle::{EngineHandle, Observation, Submission, SubmitError, UnitObservation};
pub(super) use open::Open;
pub use shifts::{PendingShift, ShiftError};
pub(super) use shifts::{ShiftQueue, check_generation};

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use crate::cluster::Cluster;
use crate::executor::Executor;

/// A running engine. Dropping it stops its threads; requests still in flight are forgotten.
#[derive(Debug)]
pub struct WallEngine {
    handle: EngineHandle,
    threads: Vec<JoinHandle<()>>,
}

impl WallEngine {
    /// Starts one thread for each executor, in the order of the units, and the intake thread.
    ///
    /// # Errors
    /// When the split and the number of executors differ, a limit is 0, the cluster cannot be made, or a thread cannot be
    /// started.
    pub fn start(config: WallConfig, executors: Vec<Box<dyn Executor>>) -> Result<(Self, EventReader), EngineError> {
        let units = config.split.units();
        if executors.len() != usize::from(units) {
            return Err(EngineError::Executors { split: config.split, executors: executors.len() });
        }
        let limits = [
            ("request_limit", config.request_limit),
            ("inbox_limit", config.inbox_limit),
            ("event_limit", config.event_limit),
        ];
        for (name, limit) in limits {
            if limit == 0 {
                return Err(EngineError::Zero(name));
            }
        }
        let vocabulary = executors.iter().map(|executor| executor.vocabulary()).min().unwrap_or(u32::MAX);
        let cluster = Cluster::new(config.cluster, config.split)?;
        let (events, reader) = event::queue(config.event_limit);
        let (inbox, messages) = sync_channel(config.inbox_limit);
        let shared = Arc::new(shared::Shared::new(cluster, vocabulary, config.request_limit, events, inbox));
        let core = Arc::clone(&shared);
        let mut engine = Self { handle: EngineHandle::new(core), threads: Vec::with_capacity(executors.len() + 1) };
        for (index, executor) in executors.into_iter().enumerate() {
            let seat = unit::Seat::new(index, units, config.pace, Arc::clone(&shared), executor);
            engine.spawn(format!("unit-{index}"), move || seat.run())?;
        }
        engine.spawn("intake".to_owned(), move || intake::run(&shared, &messages))?;
        Ok((engine, reader))
    }

    /// A handle to submit, cancel, observe and shift; cheap to clone.
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// An engine without threads yet.
    pub(super) fn with_core(core: Arc<dyn Core>) -> Self {
        Self { handle: EngineHandle::new(core), threads: Vec::new() }
    }

    pub(super) fn spawn(&mut self, name: String, body: impl FnOnce() + Send + 'static) -> Result<(), EngineError> {
        let thread = std::thread::Builder::new().name(name.clone()).spawn(body);
        self.threads.push(thread.map_err(|source| EngineError::Thread { name, source })?);
        Ok(())
    }
}

impl Drop for WallEngine {
    fn drop(&mut self) {
        self.handle.close();
        for thread in self.threads.drain(..) {
            // A thread that panicked has already been reported as a lost unit; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}
