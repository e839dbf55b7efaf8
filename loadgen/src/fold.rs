//! What a run looks like, from its records: the one place where records become snapshots.
//!
//! ```text
//!   target events ─► observing thread ─┐ (live)
//!                                      ├─► Record ─► Fold ─► Snapshot ─► screen
//!   recording ─────► playback ─────────┘ (view)
//! ```
//!
//! A live run makes a record of everything that happens, applies it here and writes it down; a recording that is viewed
//! applies the same records again. Counts, figures, history, events with their sentences, shifts and the client's health are
//! therefore the same by construction. No clock is read: whoever applies records also tells the time.
//!
//! A request has a record only once it is over. What is known of it before (it was due, it was sent, tokens arrived) is
//! told beside the records, as it happens in a live run and ahead of time in playback, which knows what will become of it.

mod client;
pub(crate) mod cluster;
mod events;
mod moment;
mod servers;
mod shifts;
mod words;

use std::sync::Arc;

use engine::cluster::How;
use engine::units::Split;
use serde::Deserialize;

use crate::guard;
use crate::live::{Counts, MarkKind, Phase, UnitView};
use crate::measure::{Aggregator, LagSummary};
use crate::recording::{EndRecord, LoadState, NoteRecord, RateRecord, Record, RunRecord};
use crate::schedule::{LoadSpec, OfferedRate, Shape};
use crate::slo::Slo;
use crate::target::Abilities;
use crate::text::{SENTENCE, cut};
use crate::time::Micros;

use client::ClientState;
use cluster::Cluster;
use events::EventLog;
use servers::Servers;
use shifts::Shifts;

/// Units that are remembered every second; of twice as many, every other second is.
const UNITS_A_SECOND: u64 = 32;
/// What a server tells of itself takes as much memory as so many units.
const SERVER_AS_UNITS: usize = 4;
/// A second that closes a little early is still the next one.
const TOLERANCE: Micros = Micros(500_000);

/// A run as far as it is told.
#[derive(Debug)]
pub struct Fold {
    about: About,
    aggregator: Aggregator,
    cluster: Cluster,
    servers: Servers,
    shifts: Shifts,
    log: EventLog,
    client: ClientState,
    phase: Phase,
    /// Which rule has ended the load, in a sentence.
    aborted: Option<Arc<str>>,
    /// Requests offered per second over the run, as planned and as changed since; `None` until the plan is known.
    rate: Option<OfferedRate>,
    shape: Option<Shape>,
    slo: Option<Slo>,
    next_memory: Micros,
}

/// What does not change over a run.
#[derive(Debug)]
struct About {
    workload: Arc<str>,
    target: Arc<str>,
    seed: u64,
    duration: Option<Micros>,
    requests: Option<u64>,
    abilities: Abilities,
}

impl Fold {
    /// At the start of a run. A load that this version cannot read leaves the ends of the schedule and the shape unknown.
    pub fn new(run: &RunRecord) -> Self {
        let load = LoadSpec::deserialize(&run.load).ok();
        let load = load.as_ref();
        Self {
            about: About {
                workload: run.name.as_str().into(),
                target: run.target.as_str().into(),
                seed: run.seed,
                duration: run.schedule_end.or(load.and_then(|load| load.duration)),
                requests: run.schedule_requests.or(load.and_then(|load| load.requests)),
                abilities: run.abilities.unwrap_or(Abilities::ALL),
            },
            aggregator: Aggregator::new(run.slo),
            cluster: Cluster::new(run.split),
            servers: Servers::default(),
            shifts: Shifts::default(),
            log: EventLog::default(),
            client: ClientState::default(),
            phase: Phase::Loading,
            aborted: None,
            rate: load.and_then(|load| OfferedRate::planned(&load.traffic)),
            shape: load.and_then(|load| load.traffic.shape()),
            slo: run.slo,
            next_memory: Micros::ZERO,
        }
    }

    /// Takes the next record.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Req(sample) => self.aggregator.sample(sample),
            Record::Unit(unit) => {
                if let Some(text) = self.cluster.apply(unit) {
                    self.log.push(unit.at, None, "", text);
                }
            }
            Record::Server(server) => {
                if let Some(text) = self.servers.apply(server) {
                    self.log.push(server.at, Some(MarkKind::Failure), "KV failed", text);
                }
            }
            Record::Shift(shift) => {
                let (at, label, text) = self.shifts.apply(shift);
                self.log.push(at, Some(MarkKind::Shift), &label, text);
            }
            Record::Waiting(waiting) => self.shifts.waits(waiting),
            Record::Rate(rate) => self.rate(rate),
            Record::Load(load) => {
                let (label, text) = words::reshaped(self.shape.replace(load.shape), load.shape);
                self.log.push(load.at, Some(MarkKind::Load), &label, text);
            }
            Record::Slo(slo) => {
                self.slo = slo.slo;
                self.aggregator.set_slo(slo.at, slo.slo);
                self.log.push(slo.at, Some(MarkKind::Slo), "SLO", words::judged_by(slo.slo));
            }
            Record::Lag(lag) => self.client.apply(lag),
            Record::Note(note) => self.note(note),
        }
    }

    /// Takes the last record: the run is over.
    pub fn end(&mut self, end: &EndRecord) {
        self.phase = Phase::Done;
        self.client.end(end);
    }

    fn note(&mut self, note: &NoteRecord) {
        if note.mark == Some(MarkKind::Failure) && note.label == guard::LABEL {
            let mut text = note.text.clone();
            cut(&mut text, SENTENCE);
            self.aborted = Some(text.into());
        }
        self.log.push(note.at, note.mark, &note.label, note.text.clone());
    }

    fn rate(&mut self, record: &RateRecord) {
        let RateRecord { at, state, rps, resumed_rps } = *record;
        let per_second = format!("{} requests/s", words::rate(rps));
        match (state, resumed_rps) {
            // What is offered from the start is no change, and of synthetic traffic it is known.
            (LoadState::Loading, _) if at == Micros::ZERO => {
                self.rate.get_or_insert_with(|| OfferedRate::steady(rps));
            }
            // What was planned goes on.
            (LoadState::Loading, _) if self.phase == Phase::Paused => {
                self.enter(Phase::Loading);
                self.log.push(at, Some(MarkKind::Load), "resumed", per_second);
            }
            (LoadState::Loading, _) => {
                self.set_rate(at, rps);
                self.log.push(at, Some(MarkKind::Load), &words::rate_label(rps), per_second);
            }
            (LoadState::Paused, Some(resumed)) => {
                self.set_rate(at, resumed);
                self.log.push(at, None, "", format!("{} requests/s once resumed", words::rate(resumed)));
            }
            (LoadState::Paused, None) => {
                self.enter(Phase::Paused);
                self.log.push(at, Some(MarkKind::Load), "paused", "paused".to_owned());
            }
            (LoadState::Finishing, _) => {
                self.enter(Phase::Finishing);
                self.log.push(at, None, "", "schedule over, waiting for what is in flight".to_owned());
            }
        }
    }

    fn set_rate(&mut self, at: Micros, rps: f64) {
        match &mut self.rate {
            // A recording that is out of its mind changes nothing.
            Some(rate) => {
                let _ = rate.set(at, rps);
            }
            rate @ None => *rate = Some(OfferedRate::steady(rps)),
        }
    }

    /// A schedule that is over does not go on.
    fn enter(&mut self, phase: Phase) {
        if !matches!(self.phase, Phase::Finishing | Phase::Done) {
            self.phase = phase;
        }
    }

    /// A request was due.
    pub fn offered(&mut self, due: Micros) {
        self.aggregator.offered(due);
    }

    /// A request was handed to the target, `lag` after it was due.
    pub fn sent(&mut self, lag: Micros, clamped: bool) {
        self.aggregator.sent(lag, clamped);
    }

    /// The first token of a request with a prompt of `input_tokens` arrived.
    pub fn first_token(&mut self, at: Micros, input_tokens: u32) {
        self.aggregator.first_token(at, input_tokens);
    }

    /// `count` tokens arrived, the first ones of an answer included.
    pub fn tokens(&mut self, at: Micros, count: u32) {
        self.aggregator.tokens(at, count);
    }

    /// How much is recorded of the run, and why no more will be; it is no record itself.
    pub(crate) fn recorded(&mut self, bytes: Option<u64>, lost: Option<String>) {
        self.client.recorded(bytes, lost);
    }

    /// Tells the time. At the end of every second the run is remembered as it is; of a large cluster less often, because
    /// a unit takes about a hundred bytes each time.
    pub fn advance(&mut self, now: Micros) {
        if self.aggregator.advance(now) && now >= self.next_memory {
            let places = self.cluster.units().len() + SERVER_AS_UNITS * self.servers.count();
            let seconds = (places as u64).div_ceil(UNITS_A_SECOND).max(1);
            self.next_memory = now + Micros(seconds * 1_000_000).since(TOLERANCE);
            let then = self.moment(now);
            self.aggregator.remember(then);
        }
    }

    /// The lag of requests since this was last asked.
    pub fn take_lag(&mut self) -> LagSummary {
        self.aggregator.take_lag()
    }

    /// Requests by outcome.
    pub fn counts(&self) -> Counts {
        self.aggregator.counts()
    }

    /// What the run is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The split by the roles of the units.
    pub fn split(&self) -> Split {
        self.cluster.split()
    }

    /// The units in order of their ids.
    pub fn units(&self) -> &[UnitView] {
        self.cluster.units()
    }

    /// Shifts that wait for the one under way.
    pub(crate) fn waiting(&self) -> &[(Split, How)] {
        self.shifts.waiting()
    }
}
