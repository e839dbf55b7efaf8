//! Virtual time, the shifts that wait, and who asks.

use super::collect::Collect;
use crate::cluster::{Cluster, How, ShiftId};
use crate::drive::virtual_time::{Input, Pace, VirtualDriver};
use crate::drive::wall::{EngineEvent, Observation, ShiftError, ShiftQueue, UnitObservation, check_generation};
use crate::executor::sim::Timing;
use crate::units::{Nanos, Split, UnitId};

/// What the lock protects.
#[derive(Debug)]
pub(super) struct State<T> {
    driver: VirtualDriver<T, Collect>,
    shifts: ShiftQueue,
    pub(super) closing: bool,
}

impl<T: Timing> State<T> {
    pub(super) fn new(cluster: Cluster, timing: T, vocabulary: u32) -> Self {
        let collect = Collect::new(cluster.units(), vocabulary);
        let driver = VirtualDriver::with_sink(cluster, timing, Pace::Bulk, collect);
        Self { driver, shifts: ShiftQueue::default(), closing: false }
    }

    pub(super) fn block_tokens(&self) -> u32 {
        self.driver.cluster().config().block_tokens
    }

    pub(super) fn next_at(&self) -> Option<Nanos> {
        self.driver.next_at()
    }

    pub(super) fn schedule(&mut self, at: Nanos, input: Input) {
        self.driver.schedule(at, input);
    }

    /// Takes everything that happens up to `now`, or until there are `most` events; `false` when some is left. A shift that waits
    /// begins at the instant at which the one before it ends. Then the events are in the order of their instants.
    pub(super) fn run_until(&mut self, now: Nanos, most: usize) -> bool {
        let mut done = true;
        loop {
            if self.driver.sink().events.len() >= most {
                done = false;
                break;
            }
            if self.driver.step_by(now).is_none() {
                self.driver.run_until(now);
                self.start_waiting_shift();
                break;
            }
            self.start_waiting_shift();
        }
        // A run of steps tells all tokens of one request, then those of the next.
        self.driver.sink_mut().events.sort_by_key(EngineEvent::at);
        done
    }

    fn start_waiting_shift(&mut self) {
        while std::mem::take(&mut self.driver.sink_mut().shift_ended) {
            let (shifts, mut dropped) = (&mut self.shifts, Vec::new());
            let (now, told) = (self.driver.now(), self.driver.sink().events.len());
            self.driver.intervene(now, |cluster, now, out| shifts.start_next(cluster, now, out, &mut dropped));
            // Those that could not start came before the one that did.
            self.driver.sink_mut().events.splice(told..told, dropped);
        }
    }

    /// Starts a shift, or lets it wait: at the last look at the clock, since what was handed over after it may not be here yet. Of a
    /// cluster that does nothing that look may be long ago, and it is `now`.
    pub(super) fn shift(
        &mut self,
        now: Nanos,
        (to, how): (Split, How),
        expected: Option<u64>,
    ) -> Result<ShiftId, ShiftError> {
        if self.closing {
            return Err(ShiftError::Closed);
        }
        check_generation(self.driver.sink().generation, expected)?;
        let now = if self.next_at().is_none() { now } else { self.driver.now() };
        let shifts = &mut self.shifts;
        let id = self.driver.intervene(now, |cluster, now, out| shifts.ask(cluster, now, (to, how), out))?;
        self.driver.sink_mut().generation += 1;
        Ok(id)
    }

    /// Requests that have ended since this was asked.
    pub(super) fn take_ended(&mut self) -> usize {
        std::mem::take(&mut self.driver.sink_mut().ended)
    }

    /// Events since they were taken.
    pub(super) fn events(&mut self) -> &mut Vec<EngineEvent> {
        &mut self.driver.sink_mut().events
    }

    pub(super) fn check(&self) -> Result<(), String> {
        self.driver.cluster().check()
    }

    /// The engine at the present of virtual time.
    pub(super) fn observe(&self) -> Observation {
        let (cluster, sink) = (self.driver.cluster(), self.driver.sink());
        let units = sink.meters.iter().enumerate().map(|(index, meter)| {
            let unit = UnitId(index as u16);
            UnitObservation {
                unit,
                figures: cluster.unit_figures(unit),
                busy: self.driver.busy_until_now(unit),
                input_tokens: meter.input_tokens,
                output_tokens: meter.output_tokens,
                imports: meter.imports,
                imported_blocks: meter.imported_blocks,
                import_time: meter.import_time,
            }
        });
        Observation::of(cluster, self.driver.now(), units.collect(), &self.shifts, sink.generation)
    }
}
