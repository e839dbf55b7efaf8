//! Changes of the load and of what makes a request good: shown, marked in the charts, and recorded.

use super::{Observer, rate};
use crate::live::{MarkKind, Phase};
use crate::recording::{LoadRecord, LoadState, RateRecord, Record, SloRecord};
use crate::schedule::Shape;
use crate::slo::Slo;
use crate::time::Micros;

impl Observer {
    pub(super) fn load_changed(&mut self, at: Micros, state: LoadState, rps: f64, label: &str) {
        let (mark, text) = match state {
            LoadState::Loading => (Some(MarkKind::Load), format!("{} requests/s", rate(rps))),
            LoadState::Paused => (Some(MarkKind::Load), "paused".to_owned()),
            LoadState::Finishing => (None, "schedule over, waiting for what is in flight".to_owned()),
        };
        self.log.push(at, mark, label, text);
        self.record(&Record::Rate(RateRecord { at, state, rps }));
    }

    pub(super) fn rate_changed(&mut self, at: Micros, rps: f64) {
        // It was accepted where it was asked for.
        let taken = self.parts.rate.set(at, rps);
        debug_assert!(taken.is_ok(), "{taken:?}");
        if self.phase == Phase::Paused {
            self.log.push(at, None, "", format!("{} requests/s once resumed", rate(rps)));
        } else {
            self.load_changed(at, LoadState::Loading, rps, &format!("{}/s", rate(rps)));
        }
    }

    pub(super) fn reshaped(&mut self, at: Micros, shape: Shape) {
        let Shape { arrival, isl, osl } = shape;
        let before = self.shape.replace(shape);
        let label = match before {
            Some(before) if before.isl != isl => format!("isl {isl}"),
            Some(before) if before.osl != osl => format!("osl {osl}"),
            _ => arrival.to_string(),
        };
        let text = format!("{arrival} arrivals, isl {isl}, osl {osl}");
        self.log.push(at, Some(MarkKind::Load), short(&label), text);
        self.record(&Record::Load(LoadRecord { at, shape }));
    }

    /// Earlier judgements stand.
    pub(super) fn judge_by(&mut self, at: Micros, slo: Option<Slo>) {
        self.parts.load.slo = slo;
        self.aggregator.set_slo(at, slo);
        let text = slo.map_or_else(|| "no SLO: no request is good or bad".to_owned(), |slo| slo.to_string());
        self.log.push(at, Some(MarkKind::Slo), "SLO", text);
        self.record(&Record::Slo(SloRecord { at, slo }));
    }
}

/// What fits into a label of a chart.
fn short(label: &str) -> &str {
    label.char_indices().nth(12).map_or(label, |(end, _)| &label[..end])
}
