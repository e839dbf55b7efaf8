//! The thread that predicts while a run goes on.
//!
//! It goes behind every other thread, uses no more than a share of one core, and is charged to the client like everything
//! else that the tool does.

use std::sync::Arc;
use std::time::Duration;

use engine::units::Split;
use tokio::sync::watch;

use super::score::Scorer;
use super::{Asked, Basis, Eras, Ground, Observed, Outlook, WhatIf, predict};
use crate::clock::RunClock;
use crate::live::{Phase, Snapshot};
use crate::run::CpuMeters;
use crate::slo::Slo;
use crate::time::Micros;

/// Between two looks at the run.
const LOOK: Duration = Duration::from_millis(200);
/// The shortest time between two predictions.
const EVERY: Micros = Micros(1_000_000);
/// The thread rests so many times as long as it computes: it has a tenth of a core.
const REST: u64 = 9;

/// What the thread looks at.
#[derive(Debug)]
pub struct Source {
    /// The run as it is. The thread ends when no more come.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The traffic of the last minute.
    pub traffic: watch::Receiver<Observed>,
    /// What predictions rest on.
    pub ground: Ground,
    /// Where the thread is charged.
    pub meters: Arc<CpuMeters>,
}

/// The thread.
#[derive(Debug)]
pub struct Worker {
    source: Source,
    outlook: watch::Sender<Arc<Outlook>>,
    scorer: Scorer,
    /// The splits that served.
    eras: Eras,
    prediction: Option<Arc<WhatIf>>,
    missing: Option<String>,
    clock: RunClock,
    /// When the next prediction may be made.
    next: Micros,
}

impl Worker {
    /// Starts the thread. It ends with the run, or when nobody wants its results any more.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(source: Source) -> std::io::Result<watch::Receiver<Arc<Outlook>>> {
        let (outlook, receiver) = watch::channel(Arc::default());
        let worker = Self {
            source,
            outlook,
            scorer: Scorer::default(),
            eras: Eras::default(),
            prediction: None,
            missing: None,
            clock: RunClock::start(),
            next: Micros::ZERO,
        };
        std::thread::Builder::new().name("what-if".to_owned()).spawn(move || worker.run())?;
        Ok(receiver)
    }

    fn run(mut self) {
        // Where the system refuses, the share of a core bounds it all the same.
        let _ = kernels::thread::run_in_background();
        let standing = match &self.source.ground {
            Ground::Profile(cluster) => Basis::of_profile(cluster).map(Some).map_err(|why| why.to_string()),
            Ground::Fitted(_) | Ground::Requests(_) => Ok(None),
            Ground::Nothing(why) => Err(why.clone()),
        };
        let standing = match standing {
            Ok(standing) => standing,
            Err(why) => {
                self.outlook.send_replace(Arc::new(Outlook { missing: Some(why), ..Outlook::default() }));
                return;
            }
        };
        while !self.is_over() {
            let snapshot = Arc::clone(&self.source.snapshots.borrow_and_update());
            self.scorer.observe(&snapshot, self.prediction.as_ref());
            let stands = snapshot.shifts.is_empty() && snapshot.split.units() > 0;
            self.eras.see(snapshot.now, stands.then_some(snapshot.split));
            if self.clock.now() >= self.next {
                self.refresh(&snapshot, standing.as_ref());
            }
            self.publish();
            self.source.meters.predicting();
            std::thread::sleep(LOOK);
        }
    }

    fn is_over(&self) -> bool {
        self.outlook.is_closed() || self.source.snapshots.has_changed().is_err()
    }

    fn refresh(&mut self, snapshot: &Snapshot, standing: Option<&Basis>) {
        let slo = match foreseen(snapshot.slo) {
            Ok(slo) => slo,
            Err(why) => {
                (self.prediction, self.missing) = (None, Some(why));
                return;
            }
        };
        // What is known of the load and of the split stands until they are what they will be.
        if snapshot.phase != Phase::Loading || !snapshot.shifts.is_empty() || snapshot.split.units() == 0 {
            return;
        }
        let traffic = self.source.traffic.borrow().clone();
        let (wall, cpu) = (self.clock.now(), cpu());
        match self.predicted(&traffic, standing, slo, snapshot.split) {
            Ok(prediction) => (self.prediction, self.missing) = (Some(Arc::new(prediction)), None),
            // What was said of other traffic says nothing of this.
            Err(why) => (self.prediction, self.missing) = (None, Some(why)),
        }
        let used = match (cpu, self::cpu()) {
            (Some(before), Some(after)) => after.since(before),
            _ => self.clock.now().since(wall),
        };
        self.next = self.clock.now() + Micros(used.0 * REST).max(EVERY);
    }

    /// By the basis that stands, or by one that is fitted to what has been seen until now.
    fn predicted(&self, traffic: &Observed, standing: Option<&Basis>, slo: Slo, now: Split) -> Result<WhatIf, String> {
        let fitted = match &self.source.ground {
            Ground::Fitted(terms) => Some(Basis::fitted(&traffic.sights, terms)?),
            Ground::Requests(terms) => Some(Basis::of_requests(&traffic.sights, &self.eras, terms)?),
            _ => None,
        };
        let basis = standing.or(fitted.as_ref()).ok_or("nothing is known of the units")?;
        predict(&Asked { traffic, basis, slo, now }, &|| self.is_over())
    }

    fn publish(&self) {
        let (prediction, missing) = (self.prediction.clone(), self.missing.clone());
        let score = self.scorer.score().clone();
        let outlook = Outlook { prediction, missing, score };
        self.outlook.send_if_modified(|last| {
            let changed = **last != outlook;
            if changed {
                *last = Arc::new(outlook);
            }
            changed
        });
    }
}

/// An SLO by which simulated requests can be judged, or why there is none.
pub(super) fn foreseen(slo: Option<Slo>) -> Result<Slo, String> {
    let slo = slo.ok_or("without an SLO nothing is good or bad")?;
    for (bound, name) in [(slo.itl_p99, "itl.p99"), (slo.itl_mean, "itl.mean")] {
        if bound.is_some() {
            return Err(format!("{name} of the SLO is not predicted"));
        }
    }
    Ok(slo)
}

fn cpu() -> Option<Micros> {
    Some(Micros(kernels::thread::cpu_time_ns()? / 1000))
}
