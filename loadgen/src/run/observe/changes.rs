//! Changes of the load and of what makes a request good, as records.

use super::Observer;
use crate::recording::{LoadRecord, LoadState, RateRecord, Record, SloRecord};
use crate::schedule::Shape;
use crate::slo::Slo;
use crate::time::Micros;

impl Observer {
    pub(super) fn load_changed(&mut self, at: Micros, state: LoadState, rps: f64) {
        self.traffic.changed(at);
        self.record(&Record::Rate(RateRecord { at, state, rps, resumed_rps: None }));
    }

    pub(super) fn rate_once_resumed(&mut self, at: Micros, rps: f64) {
        let state = LoadState::Paused;
        self.record(&Record::Rate(RateRecord { at, state, rps: 0.0, resumed_rps: Some(rps) }));
    }

    pub(super) fn reshaped(&mut self, at: Micros, shape: Shape) {
        self.traffic.changed(at);
        self.record(&Record::Load(LoadRecord { at, shape }));
    }

    /// Earlier judgements stand.
    pub(super) fn judge_by(&mut self, at: Micros, slo: Option<Slo>) {
        self.record(&Record::Slo(SloRecord { at, slo }));
    }
}
