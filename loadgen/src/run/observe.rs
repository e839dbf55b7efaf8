//! The observing thread: it joins what was sent with what came back, and feeds figures, recording and screen.

mod changes;
mod cluster;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::Duration;

use engine::units::Split;
use tokio::sync::watch;

use super::events::EventLog;
use super::in_flight::{self, InFlight};
use super::memory::resident_bytes;
use super::meters::CpuMeters;
use super::notes::Note;
use super::shifting::Shifting;
use super::{RunError, RunResult};
use crate::clock::RunClock;
use crate::live::{Command, MarkKind, Phase, Snapshot};
use crate::measure::{Aggregator, Client};
use crate::recording::{ClientUse, EndRecord, LagRecord, LoadState, Record, Recorder, RunRecord, WriteError};
use crate::sample::Sample;
use crate::schedule::{LoadSpec, OfferedRate, Shape};
use crate::summary::Accumulator;
use crate::target::{Control, Target, TargetEvent, TargetEvents, TargetInfo};
use crate::time::Micros;

/// The longest the thread waits for events before it looks at notes and time.
const WAIT: Duration = Duration::from_millis(10);
/// Between two snapshots.
const SNAPSHOT_EVERY: Micros = Micros(100_000);
/// Between two observations of the cluster, and between two records of it.
const OBSERVE_EVERY: Micros = Micros(1_000_000);

/// Units that are remembered every second; of twice as many, every other second is.
const UNITS_A_SECOND: u64 = 32;
/// A second that closes a little early is still the next one.
const TOLERANCE: Micros = Micros(500_000);

/// A rate for people: at most three decimals, none that say nothing.
fn rate(rps: f64) -> f64 {
    (rps * 1000.0).round() / 1000.0
}

/// What the thread is given.
pub(super) struct Parts {
    pub(super) clock: RunClock,
    pub(super) load: LoadSpec,
    pub(super) info: TargetInfo,
    pub(super) run: RunRecord,
    pub(super) target: Arc<dyn Target>,
    pub(super) events: Box<dyn TargetEvents>,
    pub(super) control: Option<Arc<dyn Control>>,
    /// Whether the target tells when a request was sent.
    pub(super) tells_sent: bool,
    pub(super) notes: Receiver<Note>,
    pub(super) recorder: Option<Recorder>,
    pub(super) meters: Arc<CpuMeters>,
    pub(super) dropped: Arc<AtomicU64>,
    pub(super) abort: Arc<AtomicBool>,
    pub(super) orders: SyncSender<Command>,
    /// What the schedule offers, changed here by notes as it is there by orders.
    pub(super) rate: OfferedRate,
}

/// The thread's state.
pub(super) struct Observer {
    parts: Parts,
    requests: BTreeMap<u64, InFlight>,
    /// Events that came before the note that their request was sent; they are looked at again after the next notes.
    early: Vec<TargetEvent>,
    /// Requests up to this number have been noted.
    noted: Option<u64>,
    aggregator: Aggregator,
    accumulator: Accumulator,
    cluster: cluster::Cluster,
    shifting: Shifting,
    /// One line for each unit that was lost.
    lost_units: Vec<String>,
    log: EventLog,
    phase: Phase,
    schedule_end: Option<Micros>,
    /// The pacing thread is gone: nothing will be sent and no scripted shift will come any more.
    pacing_over: bool,
    aborting: bool,
    recording_lost: Option<WriteError>,
    /// How requests are drawn now.
    shape: Option<Shape>,
    client_cpu: snapshot::CpuShare,
    rss_bytes: u64,
    cores: u32,
    /// Whether the pacing thread runs in the real-time class.
    realtime: Option<bool>,
    next_snapshot: Micros,
    next_observation: Micros,
    next_memory: Micros,
    snapshots: watch::Sender<Arc<Snapshot>>,
}

impl Observer {
    pub(super) fn new(parts: Parts) -> (Self, watch::Receiver<Arc<Snapshot>>) {
        let mut observer = Self {
            requests: BTreeMap::new(),
            early: Vec::new(),
            noted: None,
            aggregator: Aggregator::new(parts.load.slo),
            accumulator: Accumulator::new(&parts.run),
            cluster: cluster::Cluster::new(parts.info.split.unwrap_or_else(|| Split::of([]))),
            shifting: Shifting::default(),
            lost_units: Vec::new(),
            log: EventLog::default(),
            phase: Phase::Loading,
            schedule_end: None,
            pacing_over: false,
            aborting: false,
            recording_lost: None,
            shape: parts.load.traffic.shape(),
            client_cpu: snapshot::CpuShare::default(),
            rss_bytes: resident_bytes(),
            cores: kernels::thread::usable_cores().len() as u32,
            realtime: None,
            next_snapshot: SNAPSHOT_EVERY,
            next_observation: Micros::ZERO,
            next_memory: Micros::ZERO,
            snapshots: watch::channel(Arc::new(Snapshot::empty())).0,
            parts,
        };
        observer.observe(Micros::ZERO);
        let first = observer.snapshot(Micros::ZERO);
        observer.snapshots.send_replace(Arc::new(first));
        let receiver = observer.snapshots.subscribe();
        (observer, receiver)
    }

    pub(super) fn run(mut self) -> RunResult {
        let mut fresh = Vec::new();
        loop {
            fresh.append(&mut self.early);
            let open = self.parts.events.drain(&mut fresh, WAIT);
            loop {
                match self.parts.notes.try_recv() {
                    Ok(note) => self.note(note),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        self.pacing_over = true;
                        break;
                    }
                }
            }
            for event in fresh.drain(..) {
                self.event(event);
            }
            let now = self.parts.clock.now();
            self.abort_if_asked();
            if self.aggregator.advance(now) && now >= self.next_memory {
                self.next_memory = now + self.memory_every();
                let then = self.moment(now);
                self.aggregator.remember(then);
            }
            if now >= self.next_observation {
                self.next_observation = now + OBSERVE_EVERY;
                self.observe(now);
                self.record_health(now);
            }
            let over = self.pacing_over && self.requests.is_empty() && self.shifting.settled();
            if over || !open {
                return self.finish(now);
            }
            if now >= self.next_snapshot {
                self.next_snapshot = now + SNAPSHOT_EVERY;
                let snapshot = self.snapshot(now);
                self.snapshots.send_replace(Arc::new(snapshot));
            }
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Sent { planned, sent } => {
                self.noted = Some(planned.request.index);
                self.aggregator.offered(planned.due);
                self.aggregator.sent(planned.request.clamped);
                if !self.parts.tells_sent {
                    self.aggregator.lag(sent.since(planned.due));
                }
                self.requests.insert(planned.request.index, InFlight::new(planned, sent));
            }
            Note::Shed { planned, at, why } => {
                self.noted = Some(planned.request.index);
                if self.aggregator.counts().shed == 0 {
                    self.log.push(at, None, "", format!("requests are shed: {why}"));
                }
                self.aggregator.offered(planned.due);
                self.sample(in_flight::shed(planned, at));
            }
            Note::Rate { at, rate_rps } => self.rate_changed(at, rate_rps),
            Note::Paused { at } => {
                self.phase = Phase::Paused;
                self.load_changed(at, LoadState::Paused, 0.0, "paused");
            }
            Note::Resumed { at, rate_rps } => {
                self.phase = Phase::Loading;
                self.load_changed(at, LoadState::Loading, rate_rps, "resumed");
            }
            Note::Reshaped { at, shape } => self.reshaped(at, shape),
            Note::Refused { at, why } => self.log.push(at, None, "", why),
            Note::Priority { at, realtime } => self.priority(at, realtime),
            Note::Slo { at, slo } => self.judge_by(at, slo),
            Note::Shift { at, to, how } => self.ask_for_shift(at, to, how),
            Note::Ended { at } => {
                self.phase = Phase::Finishing;
                self.schedule_end = Some(at);
                self.load_changed(at, LoadState::Finishing, 0.0, "");
            }
        }
    }

    fn priority(&mut self, at: Micros, realtime: bool) {
        self.realtime = Some(realtime);
        if !realtime {
            self.log.push(at, None, "", "pacing thread without real-time priority: lag may grow under load".to_owned());
        }
    }

    fn event(&mut self, event: TargetEvent) {
        match event {
            TargetEvent::Sent { index, at } => match self.requests.get_mut(&index) {
                Some(request) => self.aggregator.lag(request.sent(at)),
                None => self.keep_if_early(index, TargetEvent::Sent { index, at }),
            },
            TargetEvent::Counted { index, tokens } => match self.requests.get_mut(&index) {
                Some(request) => {
                    let missing = request.counted(tokens);
                    self.aggregator.tokens(self.parts.clock.now(), missing);
                }
                None => self.keep_if_early(index, TargetEvent::Counted { index, tokens }),
            },
            TargetEvent::Token { index, at, token, logits_digest } => match self.requests.get_mut(&index) {
                Some(request) => {
                    if request.token(at, token, logits_digest) {
                        self.aggregator.first_token(at, request.input_tokens());
                    }
                    self.aggregator.tokens(at, 1);
                }
                None => self.keep_if_early(index, TargetEvent::Token { index, at, token, logits_digest }),
            },
            TargetEvent::Ended { index, at, outcome, server } => match self.requests.remove(&index) {
                Some(request) => {
                    if let Some(lag) = request.unsent_lag().filter(|_| self.parts.tells_sent) {
                        self.aggregator.lag(lag);
                    }
                    self.sample(request.end(at, outcome, server));
                }
                None => self.keep_if_early(index, TargetEvent::Ended { index, at, outcome, server }),
            },
            other => self.cluster_event(other),
        }
    }

    /// An answer can be there before the note of its request; one whose note was dropped never is.
    fn keep_if_early(&mut self, index: u64, event: TargetEvent) {
        if self.schedule_end.is_none() && self.noted.is_none_or(|noted| index > noted) {
            self.early.push(event);
        }
    }

    fn sample(&mut self, sample: Sample) {
        self.aggregator.sample(&sample);
        self.record(&Record::Req(Box::new(sample)));
    }

    /// What the run looked like is kept every second, of a large cluster less often: it takes a unit about a hundred bytes.
    fn memory_every(&self) -> Micros {
        Micros(1_000_000 * (self.cluster.units.len() as u64).div_ceil(UNITS_A_SECOND).max(1) - TOLERANCE.0)
    }

    fn abort_if_asked(&mut self) {
        if !self.aborting && self.parts.abort.load(Ordering::Acquire) {
            self.aborting = true;
        }
        if self.aborting {
            if !self.pacing_over {
                // Full when the operator types faster than the pacing thread reads: tried again in the next turn.
                let _ = self.parts.orders.try_send(Command::Finish);
            }
            for index in self.requests.keys() {
                self.parts.target.cancel(*index);
            }
        }
    }

    /// To the figures of the run and to its recording. A recording that cannot be written ends the run.
    fn record(&mut self, record: &Record) {
        self.accumulator.record(record);
        let Some(recorder) = &mut self.parts.recorder else { return };
        if let Err(error) = recorder.push(record) {
            self.parts.recorder = None;
            self.log.push(self.parts.clock.now(), Some(MarkKind::Failure), "recording", error.to_string());
            self.recording_lost = Some(error);
            self.aborting = true;
        }
    }

    fn record_health(&mut self, now: Micros) {
        self.parts.meters.observing();
        self.rss_bytes = resident_bytes();
        let lag = self.aggregator.take_lag();
        let client = self.client_use();
        self.client_cpu.update(now, client.cpu);
        self.record(&Record::Lag(LagRecord {
            at: now,
            sent: lag.sent,
            p99: lag.p99,
            max: lag.max,
            cpu: client.cpu,
            rss_bytes: client.rss_bytes,
            dropped: client.dropped,
            held_up: client.held_up,
        }));
    }

    fn client_use(&self) -> ClientUse {
        ClientUse {
            cpu: self.parts.meters.total(),
            cores: self.cores,
            rss_bytes: self.rss_bytes,
            dropped: self.parts.dropped.load(Ordering::Relaxed),
            held_up: self.parts.meters.held_up(),
            realtime: self.realtime,
        }
    }

    fn verdict(&self, now: Micros) -> Option<String> {
        let client = self.client_use();
        Client {
            lag_p99: self.aggregator.lag_p99(),
            dropped: client.dropped,
            cpu: client.cpu,
            elapsed: now,
            cores: client.cores,
            held_up: client.held_up,
        }
        .verdict()
    }

    fn finish(mut self, now: Micros) -> RunResult {
        self.observe(now);
        self.record_health(now);
        let end = EndRecord {
            at: now,
            schedule_end: self.schedule_end.unwrap_or(now),
            requests: self.aggregator.counts(),
            client: self.client_use(),
        };
        let mut error = self.recording_lost.clone();
        let mut recording = None;
        if let Some(recorder) = self.parts.recorder.take() {
            match recorder.finish(&end) {
                Ok(recorded) => recording = Some(recorded.path.display().to_string()),
                Err(failed) => {
                    self.recording_lost = Some(failed.clone());
                    error = Some(failed);
                }
            }
        }
        self.phase = Phase::Done;
        self.aggregator.advance(now);
        let last = self.snapshot(now);
        self.snapshots.send_replace(Arc::new(last));
        RunResult {
            summary: self.accumulator.finish(Some(&end), recording),
            error: error.map(RunError::from),
            failed_shifts: self.shifting.into_failed(),
            lost_units: self.lost_units,
        }
    }
}
