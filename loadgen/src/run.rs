//! A run: three threads around a target, and a handle to watch and steer them.
//!
//! ```text
//!   pacing thread ──notes──► observing thread ──► snapshots (watch), recorder, summary
//!        ▲    └──requests──► target ──events──┘
//!        └──orders── commanding thread ◄── commands from the screen
//! ```
//!
//! The pacing thread waits for nobody. What the others cannot take in time is counted, shown and recorded.

mod in_flight;
mod memory;
mod meters;
mod notes;
mod observe;
mod orders;
mod pace;
mod script;
mod shifting;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

pub use memory::resident_bytes;
pub use meters::CpuMeters;

use crate::clock::{RunClock, unix_micros};
use crate::guard::{Tripped, Tripwire};
use crate::live::{Command, Snapshot};
use crate::metrics::Metrics;
use crate::recording::{Recorder, RunRecord, SCHEMA, WriteError, rfc3339};
use crate::sample::Sample;
use crate::schedule::{LoadError, LoadSpec, Schedule, Traffic, Turns};
use crate::summary::Summary;
use crate::target::{Abilities, Connection, Control};
use crate::text::DurationText;
use crate::time::Micros;
use crate::whatif::Observed;
use crate::workload::Limits;

/// Notes of the pacing thread that may wait for the observing thread; what becomes of one more is up to [`notes::Notes`].
const NOTES: usize = 65_536;
/// Orders that may wait for the pacing thread. An operator who sends one more waits; an answer that a session goes on from waits with the
/// observing thread, which never does.
const ORDERS: usize = 1_024;
/// Commands that may wait for the commanding thread; one more is refused to the screen.
const COMMANDS: usize = 64;

/// What a run is made of.
#[derive(Debug)]
pub struct RunConfig {
    /// The load.
    pub load: LoadSpec,
    /// Where it goes.
    pub connection: Connection,
    /// Where it is recorded, if it is.
    pub record_to: Option<PathBuf>,
}

/// Why a run could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The load cannot be offered to this target.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nothing is due behind the warm-up that was asked for.
    #[error(
        "no request is due after --warmup {0}: nothing would be measured\nhint: a shorter one leaves requests to measure"
    )]
    Warmup(DurationText),
    /// Turns repeat answers, and the target does not tell them.
    #[error(
        "the load has sessions, whose turns repeat the answers before them, and {0} is sent token ids but tells none\nhint: send it text \
         with --prompt text or --api chat"
    )]
    UntoldAnswers(String),
    /// A shift is planned, but the target has no control.
    #[error("shifts are planned, but target {0} offers no control")]
    NoControl(String),
    /// A planned shift is not possible.
    #[error("shift at {at_s} s to {to}: {why}")]
    Shift {
        /// When it was planned.
        at_s: f64,
        /// Where it would lead.
        to: String,
        /// Why not.
        why: String,
    },
    /// The recording could not be made or went wrong.
    #[error(transparent)]
    Recording(#[from] WriteError),
    /// The configuration could not be written down.
    #[error("cannot write the configuration of the run as JSON")]
    Configuration(#[from] serde_json::Error),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
    /// The target is gone, and with it what was in flight.
    #[error("target {target} stopped before the run was over; requests in flight then: {lost}")]
    Stopped {
        /// Its name.
        target: String,
        /// Requests that ended by that.
        lost: usize,
    },
    /// A thread of the run panicked.
    #[error("the {0} thread of the run panicked")]
    Panicked(&'static str),
}

/// How a run went.
#[derive(Debug)]
pub struct RunResult {
    /// Its figures.
    pub summary: Summary,
    /// What ended it before its time.
    pub error: Option<RunError>,
    /// Shifts that were refused, dropped or abandoned, one line each.
    pub failed_shifts: Vec<String>,
    /// Units that were lost, one line each.
    pub lost_units: Vec<String>,
    /// The rule that ended the schedule before its time.
    pub tripped: Option<Tripped>,
}

/// Hears of every request that is over, on the observing thread: nothing in it may wait.
pub type Watch = Box<dyn FnMut(&Sample) + Send>;

/// A run under way.
#[derive(Debug)]
pub struct RunHandle {
    /// The newest snapshot, ten times a second.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The requests offered in the last minute, once a second.
    pub traffic: watch::Receiver<Observed>,
    /// Where commands go.
    pub commands: mpsc::Sender<Command>,
    /// CPU time of the client's threads; the screen adds its own.
    pub meters: Arc<CpuMeters>,
    /// What is to be known of the load before it starts, one line each; the run's events have it too.
    pub remarks: Vec<String>,
    pacing: JoinHandle<()>,
    observing: JoinHandle<RunResult>,
}

/// Checks everything, opens the recording, then starts the load.
///
/// # Errors
/// When the load does not fit the target, a planned shift is impossible or the recording cannot be opened. Nothing has been
/// sent then.
pub fn start(config: RunConfig) -> Result<RunHandle, RunError> {
    start_watched(config, None)
}

/// The same, with somebody who hears of every request.
///
/// # Errors
/// As those of [`start`].
pub fn start_watched(config: RunConfig, watch: Option<Watch>) -> Result<RunHandle, RunError> {
    let RunConfig { mut load, connection, record_to } = config;
    let Connection {
        info,
        target,
        mut events,
        terms: _,
        control,
        metrics,
        client,
        time_scale,
        tells_answers,
        remarks: of_target,
    } = connection;
    let abilities = control.as_deref().map(Control::abilities);
    script::check(&load.shifts, &info, abilities)?;
    let limits = Limits { context_tokens: info.limits.context_tokens, kv_tokens: info.limits.kv_tokens };
    let schedule = Schedule::new(&load, limits)?;
    if schedule.has_sessions() && !tells_answers {
        return Err(RunError::UntoldAnswers(info.name));
    }
    let content = schedule.content(NonZeroU32::new(info.limits.vocabulary).unwrap_or(NonZeroU32::MIN));

    let mut remarks = remarks(&load, &schedule);
    remarks.extend(settle_warmup(&mut load, &schedule)?);
    remarks.extend(of_target);

    let clock = RunClock::scaled(time_scale);
    let meters = Arc::new(CpuMeters::new(client.clone(), metrics.as_ref().map(Metrics::cpu)));
    let run = run_record(&load, &schedule, &info, abilities)?;
    let recorder = match record_to {
        Some(path) => {
            let meters = Arc::clone(&meters);
            let now = move || {
                meters.recording();
                clock.now()
            };
            Some(Recorder::create(&path, &run, now)?)
        }
        None => None,
    };
    events.align(clock);
    if let Some(metrics) = &metrics {
        metrics.align(clock);
    }

    let dropped = Arc::new(AtomicU64::new(0));
    let abort = Arc::new(AtomicBool::new(false));
    let (notes, pacing_notes) = sync_channel(NOTES);
    let (orders, pacing_orders) = sync_channel(ORDERS);
    let (commands, commanded) = mpsc::channel(COMMANDS);

    let pacer = pace::Pacer {
        clock,
        content,
        target: Arc::clone(&target),
        shifts: load.shifts.shifts().iter().cloned().collect(),
        orders: pacing_orders,
        notes: notes::Notes::new(notes, Arc::clone(&dropped)),
        meters: Arc::clone(&meters),
        schedule: schedule.clone(),
    };
    let parts = observe::Parts {
        clock,
        run,
        target,
        events,
        control,
        metrics,
        tells_sent: client.is_some(),
        remarks: remarks.clone(),
        notes: pacing_notes,
        recorder,
        watch,
        meters: Arc::clone(&meters),
        dropped,
        abort: Arc::clone(&abort),
        tripwire: Tripwire::new(&load.abort_on),
        orders: orders.clone(),
        rate_rps: schedule.rate().at(Micros::ZERO),
    };
    let (traffic_sender, traffic) = watch::channel(Observed::default());
    let (observer, snapshots) = observe::Observer::new(parts, traffic_sender);
    let pacing = std::thread::Builder::new().name("pace".to_owned()).spawn(move || pacer.run())?;
    let observing = std::thread::Builder::new().name("observe".to_owned()).spawn(move || observer.run())?;
    std::thread::Builder::new().name("orders".to_owned()).spawn(move || orders::run(commanded, &orders, &abort))?;
    Ok(RunHandle { snapshots, traffic, commands, meters, remarks, pacing, observing })
}

impl RunHandle {
    /// Waits until everything is over.
    ///
    /// # Errors
    /// When a thread of the run panicked.
    pub fn wait(self) -> Result<RunResult, RunError> {
        let result = self.observing.join();
        // An observing thread that ended early has left the load without anybody to end it.
        let _ = self.commands.try_send(Command::Finish);
        self.pacing.join().map_err(|_| RunError::Panicked("pacing"))?;
        result.map_err(|_| RunError::Panicked("observing"))
    }
}

/// A recording that stops before its end is replayed all the same, but nobody should take it for the whole; and sessions do not
/// begin with the rate that they come to.
fn remarks(load: &LoadSpec, schedule: &Schedule) -> Vec<String> {
    if let Some(Turns { turns, think }) = load.sessions {
        let shortest = Micros(think.0.saturating_mul(u64::from(turns.saturating_sub(1))));
        let text = format!(
            "sessions of {turns} turns take {} and their answers: until the first ones are over the load grows to its rate, which a \
             longer --warmup leaves out",
            DurationText(shortest)
        );
        return Some(text).filter(|_| load.warmup <= shortest).into_iter().collect();
    }
    let incomplete = schedule.trace().and_then(crate::trace::Trace::incomplete);
    let Traffic::Trace { path, .. } = &load.traffic else { return Vec::new() };
    incomplete.map(|why| format!("{} is {why}; it is replayed as far as it goes", path.display())).into_iter().collect()
}

/// A warm-up that nothing comes after would leave every figure empty. One that was asked for is refused; one that came with
/// the replayed run is left out, and that is said.
fn settle_warmup(load: &mut LoadSpec, schedule: &Schedule) -> Result<Option<String>, RunError> {
    if load.warmup == Micros::ZERO || !schedule.is_over_before(load.warmup) {
        return Ok(None);
    }
    if !load.warmup_is_inherited {
        return Err(RunError::Warmup(DurationText(load.warmup)));
    }
    let inherited = DurationText(std::mem::take(&mut load.warmup));
    Ok(Some(format!(
        "no request is due after the warm-up of {inherited}, which is that of the recorded run: it is left out, and all \
         requests count"
    )))
}

fn run_record(
    load: &LoadSpec,
    schedule: &Schedule,
    info: &crate::target::TargetInfo,
    abilities: Option<Abilities>,
) -> Result<RunRecord, RunError> {
    let started = unix_micros();
    let mut engine = serde_json::json!({
        "model": info.model,
        "context_tokens": info.limits.context_tokens,
        "kv_tokens": info.limits.kv_tokens,
        "vocabulary": info.limits.vocabulary,
    });
    for (name, fact) in &info.facts {
        engine[name] = fact.as_str().into();
    }
    Ok(RunRecord {
        schema: SCHEMA,
        name: load.name.clone(),
        started: rfc3339(started / 1_000_000, (started % 1_000_000) as u32),
        seed: load.seed,
        target: info.name.clone(),
        split: info.split,
        abilities,
        slo: load.slo,
        warmup: load.warmup,
        schedule_end: schedule.end(),
        schedule_requests: schedule.count(),
        load: serde_json::to_value(load)?,
        engine,
        versions: BTreeMap::from([("pdtune".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
    })
}
