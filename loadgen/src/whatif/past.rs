//! What other splits would have given at an instant of a recording: its last minute before that instant, through the same
//! prediction as a run that goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engine::units::Split;
use serde_json::Value;
use tokio::sync::watch;

use super::fitted::SightLog;
use super::traffic::WINDOW;
use super::worker::foreseen;
use super::{Asked, Basis, Eras, Ground, Observed, Offered, Outlook, UnitTerms, WhatIf, predict};
use crate::fold::cluster::Cluster;
use crate::profile::Library;
use crate::recording::{LoadState, Reader, Record, RunRecord, ShiftRecord, UnitRecord};
use crate::slo::Slo;
use crate::target::{TargetLimits, cpu, sim};
use crate::time::Micros;

/// Between two looks at what is asked.
const LOOK: Duration = Duration::from_millis(50);
/// Records between two looks at whether something else is asked by now.
const TURN: usize = 1_000;

/// An instant of a recording, and what the run was like then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PastAsk {
    /// The instant.
    pub at: Micros,
    /// The split that served.
    pub split: Split,
    /// The SLO that stood.
    pub slo: Option<Slo>,
}

impl Ground {
    /// Of a recording: the profile of its simulated cluster where there still is one of that name; otherwise what its own
    /// requests tell.
    pub fn of_recording(run: &RunRecord, library: &Library) -> Self {
        let profile = run.target.strip_prefix(sim::PREFIX).and_then(|name| library.cluster(name).ok());
        if let Some(profile) = profile {
            return Self::Profile(Box::new(profile));
        }
        let tokens =
            |name: &str| run.engine.get(name).and_then(Value::as_u64).and_then(|tokens| u32::try_from(tokens).ok());
        let (Some(context_tokens), Some(kv_tokens)) = (tokens("context_tokens"), tokens("kv_tokens")) else {
            return Self::Nothing("the recording does not tell what its units can hold".to_owned());
        };
        if run.target.starts_with("http") {
            return Self::Requests(Box::new(UnitTerms::untold(context_tokens)));
        }
        let limits = TargetLimits { context_tokens, kv_tokens, vocabulary: tokens("vocabulary").unwrap_or(0) };
        let terms = if run.target == cpu::NAME { cpu::terms(limits) } else { cpu::terms_like(None, limits) };
        Self::Fitted(Box::new(terms))
    }
}

/// The two ends of a thread that answers for a recording.
#[derive(Debug)]
pub struct Hindsight {
    /// What is asked; an ask that is not answered yet gives way to the next.
    pub asks: watch::Sender<Option<PastAsk>>,
    /// The newest answer, and to what.
    pub answers: watch::Receiver<Option<(PastAsk, Arc<Outlook>)>>,
}

impl Hindsight {
    /// Starts the thread, which reads the recording at `path` once for every ask. It ends when nobody can ask any more.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(path: PathBuf, ground: Ground) -> std::io::Result<Self> {
        let (asks, mut asked) = watch::channel(None::<PastAsk>);
        let (answer, answers) = watch::channel(None);
        let run = move || {
            // Where the system refuses, it is a thread like any other.
            let _ = kernels::thread::run_in_background();
            let standing = match &ground {
                Ground::Profile(cluster) => Basis::of_profile(cluster).map(Some).map_err(|why| why.to_string()),
                Ground::Fitted(_) | Ground::Requests(_) => Ok(None),
                Ground::Nothing(why) => Err(why.clone()),
            };
            while let Ok(changed) = asked.has_changed() {
                let ask = *asked.borrow_and_update();
                if let Some(ask) = ask.filter(|_| changed) {
                    let given_up = || !matches!(asked.has_changed(), Ok(false));
                    let found = standing.as_ref().map_err(Clone::clone);
                    let found = found.and_then(|standing| answer_to(&path, ask, &ground, standing.as_ref(), &given_up));
                    if !given_up() {
                        let outlook = match found {
                            Ok(prediction) => Outlook { prediction: Some(Arc::new(prediction)), ..Outlook::default() },
                            Err(why) => Outlook { missing: Some(why), ..Outlook::default() },
                        };
                        answer.send_replace(Some((ask, Arc::new(outlook))));
                    }
                }
                std::thread::sleep(LOOK);
            }
        };
        std::thread::Builder::new().name("hindsight".to_owned()).spawn(run)?;
        Ok(Self { asks, answers })
    }
}

/// What every split would have given.
fn answer_to(
    path: &Path,
    ask: PastAsk,
    ground: &Ground,
    standing: Option<&Basis>,
    stop: &dyn Fn() -> bool,
) -> Result<WhatIf, String> {
    let slo = foreseen(ask.slo)?;
    if ask.split.units() == 0 {
        return Err("the recording does not tell the units of its target".to_owned());
    }
    let (traffic, eras) = traffic(path, ask.at, stop)?;
    let fitted = match ground {
        Ground::Fitted(terms) => Some(Basis::fitted(&traffic.sights, terms)?),
        Ground::Requests(terms) => Some(Basis::of_requests(&traffic.sights, &eras, terms)?),
        Ground::Profile(_) | Ground::Nothing(_) => None,
    };
    let basis = standing.or(fitted.as_ref()).ok_or("nothing is known of the units")?;
    predict(&Asked { traffic: &traffic, basis, slo, now: ask.split }, stop)
}

/// What was offered in the last minute before `at` while the load stood, and what had been seen of the units by then; and which
/// splits served until then.
fn traffic(path: &Path, at: Micros, stop: &dyn Fn() -> bool) -> Result<(Observed, Eras), String> {
    let reader = Reader::open(path).map_err(|why| why.to_string())?;
    let mut serving = Serving::new(reader.run().split);
    let mut offered: Vec<Offered> = Vec::new();
    let mut log = SightLog::default();
    let (mut newest, mut oldest) = (Micros::ZERO, None::<Micros>);
    let (mut since, mut until) = (Micros::ZERO, at);
    let (mut asked, mut received) = (0.0, 0.0);
    for (number, record) in reader.enumerate() {
        if number % TURN == 0 {
            if stop() {
                return Err("stopped".to_owned());
            }
            // Requests come in the order of their ends: what is too old for the newest is too old for all that is to come.
            offered.retain(|offered| offered.due >= newest.since(WINDOW));
        }
        match record.map_err(|why| why.to_string())? {
            Record::Req(sample) => {
                if sample.due < at {
                    newest = newest.max(sample.due);
                    offered.push(Offered {
                        due: sample.due,
                        input_tokens: sample.input_tokens,
                        output_tokens: sample.output_asked,
                        segments: sample.segments.as_slice().into(),
                    });
                }
                if sample.ended <= at {
                    log.ended(&sample);
                    if sample.outcome.is_completed() && sample.ended >= at.since(WINDOW) {
                        asked += f64::from(sample.output_asked);
                        received += f64::from(sample.output_tokens);
                    }
                } else if let Some(first) = sample.first.filter(|first| *first <= at) {
                    oldest = Some(oldest.map_or(first, |oldest| oldest.min(first)));
                }
            }
            Record::Rate(rate) if rate.at <= at => match rate.state {
                LoadState::Loading => (since, until) = (rate.at, at),
                LoadState::Paused | LoadState::Finishing => until = until.min(rate.at),
            },
            Record::Load(load) if load.at <= at => since = load.at,
            Record::Unit(unit) if unit.at <= at => serving.observe(&unit),
            Record::Shift(shift) if shift.at <= at => serving.shift(&shift, at),
            _ => {}
        }
    }
    let from = since.max(until.since(WINDOW));
    offered.sort_by_key(|offered| offered.due);
    let answered = if asked > 0.0 { (received / asked).clamp(0.0, 1.0) } else { 1.0 };
    let mut observed = Observed::new(from, until, offered);
    (observed.answered, observed.sights) = (answered, log.sights(at, oldest));
    serving.eras.see(at, serving.split);
    Ok((observed, serving.eras))
}

/// Which splits served, by what the recording tells of shifts and of units.
#[derive(Debug)]
struct Serving {
    eras: Eras,
    /// The split that serves; none while units move, or where nobody knows.
    split: Option<Split>,
    cluster: Cluster,
    is_shifting: bool,
}

impl Serving {
    fn new(split: Option<Split>) -> Self {
        let mut eras = Eras::default();
        eras.see(Micros::ZERO, split);
        Self { eras, split, cluster: Cluster::new(split), is_shifting: false }
    }

    /// A unit as it was seen: somebody else may have given it another role, or it was lost.
    fn observe(&mut self, unit: &UnitRecord) {
        self.cluster.apply(unit);
        if !self.is_shifting {
            self.split = Some(self.cluster.split()).filter(|split| split.units() > 0);
            self.eras.see(unit.at, self.split);
        }
    }

    /// A shift that began, or that had ended by `at`.
    fn shift(&mut self, shift: &ShiftRecord, at: Micros) {
        let Some(end) = &shift.ended else {
            self.eras.see(shift.at, self.split.take());
            self.eras.see(shift.at, None);
            self.is_shifting = true;
            return;
        };
        let over = shift.at + end.total;
        if over > at {
            return;
        }
        self.is_shifting = false;
        self.split = Some(match &end.abandoned {
            None => shift.to,
            // It may have stopped anywhere: what stands is what the units were seen to do.
            Some(_) if !self.cluster.units().is_empty() => self.cluster.split(),
            Some(_) => shift.from,
        });
        self.eras.see(over, self.split);
    }
}

#[cfg(test)]
#[path = "past_tests.rs"]
mod tests;
