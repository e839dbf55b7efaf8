//! The observing thread: it joins what was sent with what came back, and feeds figures, recording and screen.

mod changes;
mod cluster;
mod servers;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::time::Duration;

use tokio::sync::watch;

use super::in_flight::{self, InFlight};
use super::memory::resident_bytes;
use super::meters::CpuMeters;
use super::notes::Note;
use super::orders::{Answered, Order};
use super::shifting::Shifting;
use super::{RunError, RunResult, Watch};
use crate::clock::RunClock;
use crate::fold::Fold;
use crate::guard::{self, Tripped, Tripwire};
use crate::live::{Command, MarkKind, Phase, Snapshot};
use crate::metrics::Metrics;
use crate::recording::{
    ClientUse, EndRecord, LagRecord, LoadState, NoteRecord, Record, Recorder, RunRecord, WriteError,
};
use crate::sample::{Failure, FailureKind, Outcome};
use crate::summary::Accumulator;
use crate::target::{Control, Target, TargetEvent, TargetEvents};
use crate::time::Micros;
use crate::whatif::{Observed, TrafficLog};

/// The longest the thread waits for events before it looks at notes and time.
const WAIT: Duration = Duration::from_millis(10);
/// Between two snapshots.
const SNAPSHOT_EVERY: Micros = Micros(100_000);
/// Between two observations of the cluster, and between two records of it.
const OBSERVE_EVERY: Micros = Micros(1_000_000);

/// What the thread is given.
pub(super) struct Parts {
    pub(super) clock: RunClock,
    pub(super) run: RunRecord,
    pub(super) target: Arc<dyn Target>,
    pub(super) events: Box<dyn TargetEvents>,
    pub(super) control: Option<Arc<dyn Control>>,
    pub(super) metrics: Option<Metrics>,
    /// Whether the target tells when a request was sent.
    pub(super) tells_sent: bool,
    /// Events that stand at the start.
    pub(super) remarks: Vec<String>,
    pub(super) notes: Receiver<Note>,
    pub(super) recorder: Option<Recorder>,
    pub(super) watch: Option<Watch>,
    pub(super) meters: Arc<CpuMeters>,
    pub(super) dropped: Arc<AtomicU64>,
    pub(super) abort: Arc<AtomicBool>,
    pub(super) tripwire: Tripwire,
    pub(super) orders: SyncSender<Order>,
    /// Requests per second offered at the start.
    pub(super) rate_rps: f64,
}

/// The thread's state.
pub(super) struct Observer {
    parts: Parts,
    requests: BTreeMap<u64, InFlight>,
    /// Events that came before the note that their request was sent; they are looked at again after the next notes.
    early: Vec<TargetEvent>,
    /// Requests up to this number have been noted.
    noted: Option<u64>,
    /// Everything a snapshot shows.
    fold: Fold,
    accumulator: Accumulator,
    shifting: Shifting,
    /// What the pacing thread has had no room for yet: at most one for each session under way.
    answered: VecDeque<Answered>,
    /// It was said that an answer cannot be repeated.
    untold: bool,
    /// One line for each unit that was lost.
    lost_units: Vec<String>,
    schedule_end: Option<Micros>,
    /// The pacing thread is gone: nothing will be sent and no scripted shift will come any more.
    pacing_over: bool,
    aborting: bool,
    /// What ended the schedule for the sake of others.
    tripped: Option<Tripped>,
    recording_lost: Option<WriteError>,
    rss_bytes: u64,
    cores: u32,
    /// Whether the pacing thread runs in the real-time class.
    realtime: Option<bool>,
    next_snapshot: Micros,
    next_observation: Micros,
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// What predictions are made of.
    traffic: TrafficLog,
    traffic_told: watch::Sender<Observed>,
}

impl Observer {
    pub(super) fn new(parts: Parts, traffic_told: watch::Sender<Observed>) -> (Self, watch::Receiver<Arc<Snapshot>>) {
        let mut observer = Self {
            requests: BTreeMap::new(),
            early: Vec::new(),
            noted: None,
            fold: Fold::new(&parts.run),
            accumulator: Accumulator::new(&parts.run),
            shifting: Shifting::default(),
            answered: VecDeque::new(),
            untold: false,
            lost_units: Vec::new(),
            schedule_end: None,
            pacing_over: false,
            aborting: false,
            tripped: None,
            recording_lost: None,
            rss_bytes: resident_bytes(),
            cores: kernels::thread::usable_cores().len() as u32,
            realtime: None,
            next_snapshot: SNAPSHOT_EVERY,
            next_observation: Micros::ZERO,
            snapshots: watch::channel(Arc::new(Snapshot::empty())).0,
            traffic: TrafficLog::default(),
            traffic_told,
            parts,
        };
        observer.load_changed(Micros::ZERO, LoadState::Loading, observer.parts.rate_rps);
        for remark in std::mem::take(&mut observer.parts.remarks) {
            observer.say(Micros::ZERO, None, "", remark);
        }
        observer.observe(Micros::ZERO);
        let first = observer.fold.snapshot(Micros::ZERO);
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
            self.tell_answered();
            let now = self.parts.clock.now();
            self.abort_if_asked();
            self.stop_if_tripped(now);
            self.tell_recording();
            self.hear_servers();
            self.fold.advance(now);
            if now >= self.next_observation {
                self.next_observation = now + OBSERVE_EVERY;
                self.observe(now);
                self.record_health(now);
                self.traffic.planned(now, self.fold.planned_rps(now));
                let oldest = self.requests.values().filter_map(InFlight::first).min();
                self.traffic_told.send_replace(self.traffic.window(now, oldest));
            }
            if self.pacing_over && self.requests.is_empty() && self.shifting.settled() {
                return self.finish(now, None);
            }
            if !open {
                return self.target_stopped();
            }
            if now >= self.next_snapshot {
                self.next_snapshot = now + SNAPSHOT_EVERY;
                let snapshot = self.fold.snapshot(now);
                self.snapshots.send_replace(Arc::new(snapshot));
            }
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Sent { planned, sent } => {
                self.noted = Some(planned.request.index);
                self.fold.offered(planned.due);
                self.traffic.offered(&planned);
                self.parts.tripwire.offered(planned.request.index, planned.due, sent);
                let request = InFlight::new(planned, sent);
                if !self.parts.tells_sent {
                    self.fold.sent(request.lag(), request.is_clamped());
                }
                self.requests.insert(request.index(), request);
            }
            Note::Shed { planned, at, why } => {
                self.noted = Some(planned.request.index);
                if self.fold.counts().shed == 0 {
                    self.say(at, None, "", format!("requests are shed: {why}"));
                }
                self.fold.offered(planned.due);
                self.traffic.offered(&planned);
                self.parts.tripwire.shed(at);
                self.record(&Record::Req(Box::new(in_flight::shed(planned, at))));
            }
            Note::Rate { at, rate_rps } if self.fold.phase() == Phase::Paused => self.rate_once_resumed(at, rate_rps),
            Note::Rate { at, rate_rps } | Note::Resumed { at, rate_rps } => {
                self.load_changed(at, LoadState::Loading, rate_rps);
            }
            Note::Paused { at } => self.load_changed(at, LoadState::Paused, 0.0),
            Note::Reshaped { at, shape } => self.reshaped(at, shape),
            Note::Refused { at, why } => self.say(at, None, "", why),
            Note::Priority { at, realtime } => self.priority(at, realtime),
            Note::Slo { at, slo } => self.judge_by(at, slo),
            Note::Shift { at, to, how } => self.ask_for_shift(at, to, how),
            Note::Ended { at } => {
                self.schedule_end = Some(at);
                self.load_changed(at, LoadState::Finishing, 0.0);
            }
        }
    }

    fn priority(&mut self, at: Micros, realtime: bool) {
        self.realtime = Some(realtime);
        if !realtime {
            self.say(at, None, "", "pacing thread without real-time priority: lag may grow under load".to_owned());
        }
    }

    fn event(&mut self, event: TargetEvent) {
        match event {
            TargetEvent::Sent { index, at } => match self.requests.get_mut(&index) {
                Some(request) => {
                    request.sent(at);
                    self.fold.sent(request.lag(), request.is_clamped());
                }
                None => self.keep_if_early(index, TargetEvent::Sent { index, at }),
            },
            TargetEvent::Said { index, text } => match self.requests.get_mut(&index) {
                Some(request) => request.said(text),
                None => self.keep_if_early(index, TargetEvent::Said { index, text }),
            },
            TargetEvent::Counted { index, tokens, account } => match self.requests.get_mut(&index) {
                Some(request) => request.counted(tokens, account),
                None => self.keep_if_early(index, TargetEvent::Counted { index, tokens, account }),
            },
            TargetEvent::Token { index, at, token, logits_digest } => match self.requests.get_mut(&index) {
                Some(request) => {
                    if request.token(at, token, logits_digest) {
                        self.fold.first_token(at, request.input_tokens());
                        self.parts.tripwire.first_token(index, at);
                    }
                    self.fold.tokens(at, 1);
                }
                None => self.keep_if_early(index, TargetEvent::Token { index, at, token, logits_digest }),
            },
            TargetEvent::Ended { index, at, outcome, server } => match self.requests.remove(&index) {
                Some(mut request) => {
                    if self.parts.tells_sent && !request.was_sent() {
                        self.fold.sent(request.lag(), request.is_clamped());
                    }
                    self.turn_is_over(request.answered(at, &outcome), at, &outcome);
                    let sample = request.end(at, outcome, server);
                    self.traffic.ended(&sample);
                    self.parts.tripwire.ended(&sample);
                    self.record(&Record::Req(Box::new(sample)));
                }
                None => self.keep_if_early(index, TargetEvent::Ended { index, at, outcome, server }),
            },
            other => self.cluster_event(other),
        }
    }

    /// The pacing thread is to know what the next turn goes on from. It is told at the end of this round.
    fn turn_is_over(&mut self, answered: Option<Answered>, at: Micros, outcome: &Outcome) {
        let Some(answered) = answered else { return };
        if answered.answer.is_none() && outcome.is_completed() && !self.untold {
            self.untold = true;
            let why = "a session ends early: an answer came without the ids of its tokens, and the next turn cannot repeat it";
            self.say(at, Some(MarkKind::Failure), "turns", why.to_owned());
        }
        self.answered.push_back(answered);
    }

    /// Tells the pacing thread of turns that are over, and never waits for it.
    fn tell_answered(&mut self) {
        while let Some(answered) = self.answered.pop_front() {
            let told = self.parts.orders.try_send(Order::Answered(answered));
            // Where nobody listens any more, nothing more is sent.
            if let Err(TrySendError::Full(Order::Answered(answered))) = told {
                return self.answered.push_front(answered);
            }
        }
    }

    /// An answer can be there before the note of its request; one whose note was dropped never is.
    fn keep_if_early(&mut self, index: u64, event: TargetEvent) {
        if self.schedule_end.is_none() && self.noted.is_none_or(|noted| index > noted) {
            self.early.push(event);
        }
    }

    fn abort_if_asked(&mut self) {
        if !self.aborting && self.parts.abort.load(Ordering::Acquire) {
            self.aborting = true;
        }
        if self.aborting {
            if !self.pacing_over {
                // Full when the operator types faster than the pacing thread reads: tried again in the next turn.
                let _ = self.parts.orders.try_send(Order::Command(Command::Finish));
            }
            for index in self.requests.keys() {
                self.parts.target.cancel(*index);
            }
        }
    }

    /// Where a rule of `--abort-on` is broken while there is something left to send, nothing more is; what is in flight is
    /// waited for.
    fn stop_if_tripped(&mut self, now: Micros) {
        if self.tripped.is_none() && self.schedule_end.is_none() {
            self.tripped = self.parts.tripwire.look(now);
            if let Some(tripped) = &self.tripped {
                let text = format!("nothing more is sent, {tripped}");
                self.say(now, Some(MarkKind::Failure), guard::LABEL, text);
            }
        }
        if self.tripped.is_some() && !self.pacing_over {
            // Full of older orders: tried again in the next turn.
            let _ = self.parts.orders.try_send(Order::Command(Command::Finish));
        }
    }

    /// To everything that is told of the run: its snapshots, its figures and its recording. A recording that cannot be
    /// written ends the run.
    fn record(&mut self, record: &Record) {
        self.fold.apply(record);
        self.accumulator.record(record);
        if let (Some(watch), Record::Req(sample)) = (&mut self.parts.watch, record) {
            watch(sample);
        }
        let Some(recorder) = &mut self.parts.recorder else { return };
        if let Err(error) = recorder.push(record) {
            self.parts.recorder = None;
            let (at, mark) = (self.parts.clock.now(), Some(MarkKind::Failure));
            let text = error.to_string();
            self.fold.apply(&Record::Note(NoteRecord { at, mark, label: "recording".to_owned(), text }));
            self.recording_lost = Some(error);
            self.aborting = true;
        }
    }

    /// An event that no other record tells.
    fn say(&mut self, at: Micros, mark: Option<MarkKind>, label: &str, text: String) {
        self.record(&Record::Note(NoteRecord { at, mark, label: label.to_owned(), text }));
    }

    fn tell_recording(&mut self) {
        let bytes = self.parts.recorder.as_ref().map(Recorder::bytes);
        self.fold.recorded(bytes, self.recording_lost.as_ref().map(WriteError::brief));
    }

    fn record_health(&mut self, now: Micros) {
        self.parts.meters.observing();
        self.rss_bytes = resident_bytes();
        let lag = self.fold.take_lag();
        let client = self.client_use();
        self.record(&Record::Lag(LagRecord {
            at: now,
            sent: lag.sent,
            p99: lag.p99,
            max: lag.max,
            cpu: client.cpu,
            rss_bytes: client.rss_bytes,
            dropped: client.dropped,
            cores: Some(client.cores),
            held_up: client.held_up,
        }));
    }

    /// Nothing comes back any more: whatever is in flight ends here. What was handed over until now counts among it, so the
    /// pacing thread is heard to its end.
    fn target_stopped(mut self) -> RunResult {
        while !self.pacing_over {
            // Full of older orders: tried again in the next turn.
            let _ = self.parts.orders.try_send(Order::Command(Command::Finish));
            match self.parts.notes.recv_timeout(WAIT) {
                Ok(note) => self.note(note),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.pacing_over = true,
            }
        }
        for event in std::mem::take(&mut self.early) {
            self.event(event);
        }
        let now = self.parts.clock.now();
        let why = "the target stopped";
        self.say(now, Some(MarkKind::Failure), "target", why.to_owned());
        let lost = std::mem::take(&mut self.requests);
        let error = RunError::Stopped { target: self.parts.run.target.clone(), lost: lost.len() };
        for request in lost.into_values() {
            let failure = Failure { kind: FailureKind::Engine, message: why.to_owned() };
            if self.parts.tells_sent && !request.was_sent() {
                self.fold.sent(request.lag(), request.is_clamped());
            }
            self.record(&Record::Req(Box::new(request.end(now, Outcome::Failed(failure), None))));
        }
        self.finish(now, Some(error))
    }

    fn client_use(&self) -> ClientUse {
        ClientUse {
            cpu: self.parts.meters.total(),
            cores: self.cores,
            rss_bytes: self.rss_bytes,
            dropped: self.parts.dropped.load(Ordering::Relaxed),
            realtime: self.realtime,
            held_up: self.parts.meters.held_up(),
        }
    }

    /// Sums up and closes the recording. `stopped` is what ended the run before its time, if anything did.
    fn finish(mut self, now: Micros, stopped: Option<RunError>) -> RunResult {
        self.observe(now);
        self.hear_servers_out();
        self.record_health(now);
        let end = EndRecord {
            at: now,
            schedule_end: self.schedule_end.unwrap_or(now),
            requests: self.fold.counts(),
            client: self.client_use(),
            aborted: self.tripped.as_ref().map(Tripped::to_string),
        };
        let mut error = self.recording_lost.clone();
        let (mut recording, mut bytes) = (None, None);
        if let Some(recorder) = self.parts.recorder.take() {
            match recorder.finish(&end) {
                Ok(recorded) => {
                    (recording, bytes) = (Some(recorded.path.display().to_string()), Some(recorded.bytes));
                }
                Err(failed) => {
                    self.recording_lost = Some(failed.clone());
                    error = Some(failed);
                }
            }
        }
        self.fold.end(&end);
        self.fold.recorded(bytes, self.recording_lost.as_ref().map(WriteError::brief));
        self.fold.advance(now);
        let last = self.fold.snapshot(now);
        self.snapshots.send_replace(Arc::new(last));
        RunResult {
            summary: self.accumulator.finish(Some(&end), recording),
            error: error.map(RunError::from).or(stopped),
            failed_shifts: self.shifting.into_failed(),
            lost_units: self.lost_units,
            tripped: self.tripped,
        }
    }
}
