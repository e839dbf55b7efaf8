//! What a run looks like from outside while it goes on: the one thing the screen draws from, and what it may ask for.

mod failures;
mod past;
mod servers;

use std::sync::Arc;

use engine::cluster::{How, UnitState};
use engine::units::{Role, Split, UnitId};
use serde::{Deserialize, Serialize};

use crate::diagnose::Diagnosis;
use crate::measure::{MeanStages, SlotHistogram, StageHistogram};
use crate::request::Slowest;
use crate::sample::Outcome;
use crate::schedule::Shape;
use crate::slo::Slo;
use crate::target::Abilities;
use crate::time::Micros;

pub use failures::{FailureCounts, Reasons};
pub use servers::{ServerView, counted_by, server_itl, server_ttft};

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Sending according to the schedule.
    Loading,
    /// The operator paused the load; what is in flight goes on.
    Paused,
    /// The schedule is over; waiting for what is in flight.
    Finishing,
    /// Everything is over.
    Done,
}

/// Requests by outcome since the start. `offered = sent + shed`, but for what is just on its way to a socket;
/// `sent = completed + failed + cut + cancelled + in_flight`.
///
/// What is in flight and what was good is for the screen: when a run is over nothing is in flight, and what is good depends
/// on the SLO, so that neither is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Due so far.
    pub offered: u64,
    /// Handed to the target.
    pub sent: u64,
    /// Ended as asked.
    pub completed: u64,
    /// Ended by an error.
    pub failed: u64,
    /// Streams that ended without saying so.
    pub cut: u64,
    /// Not sent because a stated limit was reached.
    pub shed: u64,
    /// Cancelled by us.
    pub cancelled: u64,
    /// Sent with a length cut to what the target can serve.
    pub clamped: u64,
    /// Completed and within the SLO.
    #[serde(skip)]
    pub good: u64,
    /// Sent and not over.
    #[serde(skip)]
    pub in_flight: u64,
}

impl Counts {
    /// A request is over.
    pub(crate) fn ended(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Completed => &mut self.completed,
            Outcome::Failed(_) => &mut self.failed,
            Outcome::Cut => &mut self.cut,
            Outcome::Cancelled => &mut self.cancelled,
            Outcome::Shed => &mut self.shed,
        } += 1;
    }
}

/// Percentiles of one latency; all `None` when there was no sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Percentiles {
    /// Median.
    pub p50: Option<Micros>,
    /// 95th percentile.
    pub p95: Option<Micros>,
    /// 99th percentile.
    pub p99: Option<Micros>,
}

/// One slot of history: what *completed* in it (by completion second), and what was due in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slot {
    /// Its start.
    pub start: Micros,
    /// Its length: 1 s for recent slots, more for coarsened old ones.
    pub length: Micros,
    /// Requests due in it.
    pub offered: u32,
    /// Requests completed in it.
    pub completed: u32,
    /// Of those, the good ones. `None` without an SLO.
    pub good: Option<u32>,
    /// Requests that ended in it without completing.
    pub errors: u32,
    /// Prompt tokens of requests whose first token came in it.
    pub input_tokens: u64,
    /// Tokens that arrived in it.
    pub output_tokens: u64,
    /// TTFT of requests completed in it.
    pub ttft: Percentiles,
    /// TPOT of requests completed in it.
    pub tpot: Percentiles,
    /// Each TTFT of requests completed in it, in microseconds.
    pub ttft_values: Arc<SlotHistogram>,
    /// Each TPOT of requests completed in it, in microseconds.
    pub tpot_values: Arc<SlotHistogram>,
    /// What the stages of those TTFTs took, by the length of the TTFT.
    pub stages: Arc<StageHistogram>,
    /// The slowest requests that ended in it, a few.
    pub slowest: Arc<Slowest>,
    /// The run at the end of the slot, without history and events; `None` when nobody looked. See [`Snapshot::at`].
    pub then: Option<Arc<Snapshot>>,
}

/// Figures over the last few seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Recent {
    /// Length of the window.
    pub window: Micros,
    /// Good requests per second by completion; `None` without an SLO.
    pub goodput_rps: Option<f64>,
    /// The same over the window before, for the trend.
    pub goodput_before_rps: Option<f64>,
    /// Good of those that ended while there was an SLO; `None` without one or without an end.
    pub attainment: Option<f64>,
    /// Requests due per second.
    pub offered_rps: f64,
    /// Requests completed in the window.
    pub completed: u64,
    /// Of those, answers of several tokens that came in one piece: they have no TPOT.
    pub pieces: u64,
    /// Requests failed in the window.
    pub failures: FailureCounts,
    /// Requests in flight at its end, less those at its start.
    pub growth: i64,
    /// Prompt tokens computed per second.
    pub input_tps: f64,
    /// Tokens received per second.
    pub output_tps: f64,
    /// The same over the window before.
    pub output_before_tps: Option<f64>,
    /// TTFT.
    pub ttft: Percentiles,
    /// TPOT.
    pub tpot: Percentiles,
    /// Where the time of those TTFTs went.
    pub stages: TtftStages,
}

/// Where TTFT goes: what its stages take on average, of all requests and of the slow ones. All `None` without requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TtftStages {
    /// Of all requests.
    pub all: Option<MeanStages>,
    /// Of those about as fast as the median.
    pub p50: Option<MeanStages>,
    /// Of those at the 95th percentile and above.
    pub p95: Option<MeanStages>,
    /// Of those at the 99th percentile and above.
    pub p99: Option<MeanStages>,
}

impl TtftStages {
    /// From what was counted.
    pub fn of(histogram: &StageHistogram) -> Self {
        Self { all: histogram.all(), p50: histogram.at(0.5), p95: histogram.from(0.95), p99: histogram.from(0.99) }
    }
}

/// One unit as last observed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitView {
    /// Which.
    pub unit: UnitId,
    /// Its role (the old one until a shift has switched it).
    pub role: Role,
    /// What it does about its role.
    pub state: UnitState,
    /// How long it has been in that state.
    pub in_state: Micros,
    /// Whether the figures below are told. A control plane tells of roles and states alone; they are 0 then.
    pub measured: bool,
    /// Share of the last second spent in steps, 0..=1.
    pub busy: f64,
    /// Requests waiting for their first prompt chunk.
    pub queue: u32,
    /// Sequences in its batch.
    pub running: u32,
    /// Sequences that wait for their hand-off, holding blocks here.
    pub handing_off: u32,
    /// Blocks held by sequences, as a share of all, 0..=1.
    pub kv_used: f64,
    /// Blocks kept for their prefix and free to be taken, as a share of all, 0..=1.
    pub kv_cached: f64,
    /// Prompt tokens computed per second over the last second.
    pub input_tps: f64,
    /// Tokens sampled per second over the last second.
    pub output_tps: f64,
}

/// Why a vertical mark stands in the charts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkKind {
    /// A shift began or ended.
    Shift,
    /// The rate or the shape of the load was changed, or the load paused or resumed.
    Load,
    /// The SLO was changed.
    Slo,
    /// A unit failed.
    Failure,
}

/// A line of the event list; those with a mark also stand in every chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Micros,
    /// Set when a chart shows it.
    pub mark: Option<MarkKind>,
    /// A short label for a chart, at most 12 columns.
    pub label: String,
    /// One sentence.
    pub text: String,
}

/// A shift that is under way or waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShiftView {
    /// Where it leads.
    pub to: Split,
    /// How.
    pub how: How,
    /// Since when; `None` while it waits for another one.
    pub since: Option<Micros>,
}

/// Requests that failed since the last one that completed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// When the first of them was known.
    pub since: Micros,
    /// How many.
    pub failed: u64,
    /// Of those, the ones that the target would not take for now: load that it sheds.
    pub limited: u64,
    /// The last of them, in one line; shared by every second that remembers it.
    pub error: Arc<str>,
}

/// The tool's own condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// 99th percentile of sent − due.
    pub lag_p99: Micros,
    /// CPU seconds of the client's own threads since the start (without the embedded engine's).
    pub client_cpu_s: f64,
    /// Share of one core the client used over the last second.
    pub client_cpu: f64,
    /// Resident memory in bytes.
    pub rss_bytes: u64,
    /// Samples dropped because a queue was full.
    pub dropped: u64,
    /// Bytes of the recording so far; `None` when nothing is recorded.
    pub recorded_bytes: Option<u64>,
    /// Why the recording ended before the run, if it did.
    pub recording_lost: Option<String>,
    /// Why the client and not the server limits the figures; `None` while all is well.
    pub verdict: Option<String>,
}

/// Everything a screen may show of a run at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The instant.
    pub now: Micros,
    /// What the run is doing.
    pub phase: Phase,
    /// Which rule of `--abort-on` has ended the load and why, in a sentence; `None` unless one has.
    pub aborted: Option<Arc<str>>,
    /// The name of the workload; shared, as it is the same every second.
    pub workload: Arc<str>,
    /// The target as the user named it.
    pub target: Arc<str>,
    /// The seed.
    pub seed: u64,
    /// The end of the schedule, when it has one in time.
    pub duration: Option<Micros>,
    /// The end of the schedule, when it has one in requests.
    pub requests: Option<u64>,
    /// Requests per second that the schedule plans for now; while paused, what it would offer.
    pub rate_rps: f64,
    /// How requests are drawn now; `None` when they come from a trace.
    pub shape: Option<Shape>,
    /// The SLO.
    pub slo: Option<Slo>,
    /// The split by the roles of the units now.
    pub split: Split,
    /// Requests by outcome.
    pub counts: Counts,
    /// The last few seconds.
    pub recent: Recent,
    /// Closed slots, oldest first. Shared, replaced as a whole once a second.
    pub history: Arc<Vec<Slot>>,
    /// The units in order of their ids.
    pub units: Arc<Vec<UnitView>>,
    /// What servers tell of themselves, where they are asked.
    pub servers: Arc<Vec<ServerView>>,
    /// Events, oldest first, bounded.
    pub events: Arc<Vec<Event>>,
    /// Shifts under way and waiting.
    pub shifts: Vec<ShiftView>,
    /// What the target lets be done with its units.
    pub abilities: Abilities,
    /// Requests that failed since the last one that completed, while there are any.
    pub outage: Option<Outage>,
    /// Requests that failed since the start.
    pub failures: FailureCounts,
    /// Why requests failed, as last told.
    pub reasons: Reasons,
    /// What limits, and the figures that say so.
    pub diagnosis: Diagnosis,
    /// The tool's own condition.
    pub health: Health,
}

impl Snapshot {
    /// What is shown before anything is known.
    pub fn empty() -> Self {
        Self {
            now: Micros::ZERO,
            phase: Phase::Loading,
            aborted: None,
            workload: Arc::default(),
            target: Arc::default(),
            seed: 0,
            duration: None,
            requests: None,
            rate_rps: 0.0,
            shape: None,
            slo: None,
            split: Split { prefill: 0, decode: 0, aggregated: 0 },
            counts: Counts::default(),
            recent: Recent::default(),
            history: Arc::default(),
            units: Arc::default(),
            servers: Arc::default(),
            events: Arc::default(),
            shifts: Vec::new(),
            abilities: Abilities::ALL,
            outage: None,
            failures: FailureCounts::default(),
            reasons: Reasons::default(),
            diagnosis: Diagnosis::default(),
            health: Health::default(),
        }
    }
}

/// What a screen may ask of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Offer this many requests per second from now on.
    SetRate(f64),
    /// Stop sending; what is in flight goes on.
    Pause,
    /// Send again.
    Resume,
    /// Draw requests of this shape from now on.
    Reshape(Shape),
    /// Judge requests that end from now on by this.
    SetSlo(Option<Slo>),
    /// Move to this split.
    Shift(Split, How),
    /// End the schedule now and wait for what is in flight.
    Finish,
    /// End at once: cancel what is in flight.
    Abort,
}
