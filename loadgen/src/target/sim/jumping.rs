//! A simulated cluster whose time jumps from event to event, for whoever waits for answers before asking again.
//!
//! It stands still unless somebody drains its events: then it goes on until there are some. What is handed over meanwhile arrives
//! at the present. So a client that reads, decides and asks sees no time of its own pass, and a probe of minutes takes as long as
//! computing it, with the same result on every machine.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::block_hash;
use engine::cluster::{Arrival, Cluster as Scheduler, Finished, Notice, Refused};
use engine::drive::virtual_time::{Emitted, Input, Pace, Sink, VirtualDriver};
use engine::drive::wall::{EngineError, EngineEvent, SubmissionRefused};
use engine::executor::sim::Tabulated;
use engine::units::{Nanos, RequestId};

use super::{SimError, SimTarget, tables};
use crate::clock::RunClock;
use crate::target::{Connection, Dispatch, Shed, Target, TargetEvent, TargetEvents, embedded};
use crate::time::Micros;

/// Starts the simulation as a target without a clock. Its time scale means nothing.
///
/// # Errors
/// When the split has more units than the cluster, or its constants lead to times that are none.
pub fn open_jumping(target: &SimTarget) -> Result<Connection, SimError> {
    let split = target.split()?;
    let config = target.cluster.profile.config.clone();
    let cluster = Scheduler::new(config, split).map_err(EngineError::from)?;
    // Single steps: an answer is seen token by token, and what is asked for in between comes between two of them.
    let driver = VirtualDriver::with_sink(cluster, tables(target)?, Pace::SingleSteps, Collect::default());
    let jumping = Arc::new(Jumping { driver: Mutex::new(driver) });
    Ok(Connection {
        info: target.info(split),
        target: Arc::clone(&jumping) as Arc<dyn Target>,
        events: Box::new(JumpingEvents { jumping }),
        terms: None,
        control: None,
        metrics: None,
        client: None,
        time_scale: 1.0,
        tells_answers: true,
        remarks: Vec::new(),
    })
}

#[derive(Debug)]
struct Jumping {
    driver: Mutex<VirtualDriver<Tabulated, Collect>>,
}

impl Jumping {
    fn lock(&self) -> MutexGuard<'_, VirtualDriver<Tabulated, Collect>> {
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target for Jumping {
    fn submit(&self, dispatch: Dispatch) -> Result<(), Shed> {
        let mut driver = self.lock();
        let prompt_hashes = block_hash::hashes(&dispatch.prompt, driver.cluster().config().block_tokens).into();
        let arrival = Arrival {
            request: RequestId(dispatch.index),
            prompt_tokens: dispatch.prompt.len() as u32,
            output_tokens: dispatch.output_tokens,
            prompt_hashes,
        };
        let now = driver.now();
        driver.schedule(now, Input::Arrive(arrival));
        Ok(())
    }

    fn cancel(&self, index: u64) {
        let mut driver = self.lock();
        let now = driver.now();
        driver.schedule(now, Input::Cancel(RequestId(index)));
    }
}

#[derive(Debug)]
struct JumpingEvents {
    jumping: Arc<Jumping>,
}

impl TargetEvents for JumpingEvents {
    fn align(&mut self, _: RunClock) {}

    /// Never waits. `false` when nothing will ever happen again unless somebody asks for it.
    fn drain(&mut self, into: &mut Vec<TargetEvent>, _: Duration) -> bool {
        let mut driver = self.jumping.lock();
        while driver.sink().events.is_empty() {
            if driver.step().is_none() {
                return false;
            }
        }
        let on_run = |at: Nanos| Micros(at.0 / 1000);
        into.extend(driver.sink_mut().events.drain(..).filter_map(|event| embedded::translate(event, on_run)));
        true
    }
}

/// Collects events until they are taken.
#[derive(Debug, Default)]
struct Collect {
    events: Vec<EngineEvent>,
}

impl Sink for Collect {
    const EVERY_TOKEN: bool = true;

    fn emitted(&mut self, emitted: Emitted) {
        self.events.extend(emitted.tokens().map(|(at, request, index, _)| EngineEvent::Token {
            at,
            request,
            index,
            token: 0,
            logits_digest: 0,
            logprobs: None,
        }));
    }

    fn finished(&mut self, at: Nanos, finished: Finished) {
        self.events.push(EngineEvent::Finished { at, finished });
    }

    fn noticed(&mut self, at: Nanos, notice: Notice) {
        self.events.push(EngineEvent::Notice { at, notice });
    }

    fn refused(&mut self, at: Nanos, request: RequestId, why: Refused) {
        self.events.push(EngineEvent::Refused { at, request, why: SubmissionRefused::Cluster(why) });
    }
}
