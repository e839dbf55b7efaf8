//! What was observed beside requests: units, shifts, changes of the load and of the SLO, the client's lag, other events.

use engine::cluster::{How, ShiftReport, UnitState};
use engine::units::{Role, Split, UnitId};
use serde::{Deserialize, Serialize};

use super::text;
use crate::live::{MarkKind, UnitView};
use crate::schedule::Shape;
use crate::slo::Slo;
use crate::time::Micros;

/// One unit as observed at an instant. Shares are in thousandths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// When.
    pub at: Micros,
    /// Which.
    pub unit: u16,
    /// Its role.
    #[serde(with = "text::role")]
    pub role: Role,
    /// What it did about its role.
    pub state: UnitPhase,
    /// Sequences it still had to get rid of while draining.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub left: Option<u32>,
    /// Whether the figures below were told.
    #[serde(skip_serializing_if = "is_true", default = "yes")]
    pub measured: bool,
    /// Share of the last second spent in steps.
    pub busy: u16,
    /// Requests waiting for their first prompt chunk.
    pub queue: u32,
    /// Sequences in its batch.
    pub running: u32,
    /// Sequences waiting for their hand-off.
    pub handing_off: u32,
    /// Share of KV blocks held by sequences.
    pub kv_used: u16,
    /// Share of KV blocks kept for their prefix.
    pub kv_cached: u16,
    /// Prompt tokens computed per second over the last second.
    pub input_tps: u64,
    /// Tokens sampled per second over the last second.
    pub output_tps: u64,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "how serde asks")]
fn is_true(flag: &bool) -> bool {
    *flag
}

/// The state of a unit as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitPhase {
    /// Serving its role.
    Serving,
    /// Getting rid of what it holds.
    Draining,
    /// Changing its role.
    Switching,
    /// Warming up in the new role.
    Warming,
    /// Lost.
    Failed,
}

impl UnitRecord {
    /// From what the screen shows.
    pub fn new(at: Micros, view: &UnitView) -> Self {
        let (state, left) = match view.state {
            UnitState::Serving => (UnitPhase::Serving, None),
            UnitState::Draining { left } => (UnitPhase::Draining, Some(left)),
            UnitState::Switching => (UnitPhase::Switching, None),
            UnitState::Warming => (UnitPhase::Warming, None),
            UnitState::Failed => (UnitPhase::Failed, None),
        };
        let thousandths = |share: f64| (share.clamp(0.0, 1.0) * 1000.0).round() as u16;
        Self {
            at,
            unit: view.unit.0,
            role: view.role,
            state,
            left,
            measured: view.measured,
            busy: thousandths(view.busy),
            queue: view.queue,
            running: view.running,
            handing_off: view.handing_off,
            kv_used: thousandths(view.kv_used),
            kv_cached: thousandths(view.kv_cached),
            input_tps: view.input_tps.max(0.0).round() as u64,
            output_tps: view.output_tps.max(0.0).round() as u64,
        }
    }

    /// What the screen shows. How long the unit has been in its state is not recorded.
    pub fn view(&self) -> UnitView {
        let share = |thousandths: u16| f64::from(thousandths.min(1000)) / 1000.0;
        UnitView {
            unit: UnitId(self.unit),
            role: self.role,
            state: match self.state {
                UnitPhase::Serving => UnitState::Serving,
                UnitPhase::Draining => UnitState::Draining { left: self.left.unwrap_or(0) },
                UnitPhase::Switching => UnitState::Switching,
                UnitPhase::Warming => UnitState::Warming,
                UnitPhase::Failed => UnitState::Failed,
            },
            in_state: Micros::ZERO,
            measured: self.measured,
            busy: share(self.busy),
            queue: self.queue,
            running: self.running,
            handing_off: self.handing_off,
            kv_used: share(self.kv_used),
            kv_cached: share(self.kv_cached),
            input_tps: self.input_tps as f64,
            output_tps: self.output_tps as f64,
        }
    }
}

/// A shift, written when it starts and again when it has ended. Both records name the instant at which it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftRecord {
    /// When it was accepted.
    pub at: Micros,
    /// The split before.
    #[serde(with = "text::display")]
    pub from: Split,
    /// The split asked for.
    #[serde(with = "text::display")]
    pub to: Split,
    /// How units were emptied.
    #[serde(with = "text::how")]
    pub how: How,
    /// What came of it; absent in the record of its start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ended: Option<ShiftEnd>,
}

/// What came of a shift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftEnd {
    /// How long the slowest unit was draining.
    #[serde(rename = "drain_us")]
    pub drain: Micros,
    /// From acceptance to the last unit serving its new role.
    #[serde(rename = "total_us")]
    pub total: Micros,
    /// Sequences in flight on the moving units when their draining began.
    pub in_flight: u32,
    /// Requests that failed because of it.
    pub lost: u32,
    /// Why it was given up, if it was.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "text::sentence_option")]
    pub abandoned: Option<String>,
}

impl ShiftRecord {
    /// Of a shift that ended. `at` is `report.accepted` on the run's clock.
    pub fn ended(at: Micros, report: &ShiftReport, lost: u32) -> Self {
        let micros = |nanos: engine::units::Nanos| Micros(nanos.0 / 1000);
        Self {
            at,
            from: report.from,
            to: report.to,
            how: report.how,
            ended: Some(ShiftEnd {
                drain: micros(report.drain),
                total: micros(report.total),
                in_flight: report.in_flight,
                lost,
                abandoned: report.abandoned.clone(),
            }),
        }
    }
}

/// What the schedule does from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LoadState {
    /// Offering requests.
    Loading,
    /// Paused by the operator.
    Paused,
    /// Over.
    Finishing,
}

/// The load changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateRecord {
    /// From when on.
    pub at: Micros,
    /// What the schedule does.
    pub state: LoadState,
    /// Requests offered per second.
    pub rps: f64,
    /// Requests offered per second once resumed, where that was changed while paused.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resumed_rps: Option<f64>,
}

/// Requests are drawn from other distributions from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadRecord {
    /// From when on.
    pub at: Micros,
    /// What they look like.
    #[serde(flatten)]
    pub shape: Shape,
}

/// The SLO changed: requests that end from now on are judged by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SloRecord {
    /// From when on.
    pub at: Micros,
    /// The new one; none when it was taken away.
    #[serde(with = "text::slo", default)]
    pub slo: Option<Slo>,
}

/// The client's own condition since the record of this kind before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LagRecord {
    /// When.
    pub at: Micros,
    /// Requests sent.
    pub sent: u64,
    /// 99th percentile of their lag.
    #[serde(rename = "p99_us", skip_serializing_if = "Option::is_none", default)]
    pub p99: Option<Micros>,
    /// The largest lag.
    #[serde(rename = "max_us", skip_serializing_if = "Option::is_none", default)]
    pub max: Option<Micros>,
    /// CPU time of the client's own threads since the start.
    #[serde(rename = "cpu_us")]
    pub cpu: Micros,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Samples dropped since the start because a queue was full.
    pub dropped: u64,
    /// How often since the start reading from a remote target had to wait for the client's own queue.
    #[serde(skip_serializing_if = "text::is_zero", default)]
    pub held_up: u64,
    /// Cores of its machine, where known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cores: Option<u32>,
}

/// The shifts that wait for the one under way; written when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRecord {
    /// When.
    pub at: Micros,
    /// In the order in which they will run.
    #[serde(deserialize_with = "text::few")]
    pub shifts: Vec<WaitingShift>,
}

/// A shift that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingShift {
    /// Where it leads.
    #[serde(with = "text::display")]
    pub to: Split,
    /// How units will be emptied.
    #[serde(with = "text::how")]
    pub how: How,
}

/// An event that no other record tells: an order that was refused, a unit that was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRecord {
    /// When.
    pub at: Micros,
    /// Why charts show it, if they do.
    #[serde(with = "text::mark", skip_serializing_if = "Option::is_none", default)]
    pub mark: Option<MarkKind>,
    /// A short label for a chart.
    #[serde(skip_serializing_if = "String::is_empty", default, deserialize_with = "text::sentence")]
    pub label: String,
    /// One sentence.
    #[serde(deserialize_with = "text::sentence")]
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_shape_stands_beside_its_instant() {
        let shape = Shape {
            arrival: "constant".parse().expect("known"),
            isl: "9".parse().expect("lengths"),
            osl: "uniform:1..5".parse().expect("lengths"),
        };
        let record = LoadRecord { at: Micros(7), shape };
        let text = serde_json::to_string(&record).expect("JSON");
        assert_eq!(text, r#"{"at":7,"arrival":"constant","isl":"9","osl":"uniform:1..5"}"#);
        assert_eq!(serde_json::from_str::<LoadRecord>(&text).expect("a record"), record);
    }
}
