//! One simulation: a split, a draw, a rate.

use std::sync::Arc;

use engine::cluster::Cluster as Scheduler;
use engine::drive::virtual_time::{Pace, Samples, VirtualDriver};
use engine::executor::sim::{Tabulated, Timing};
use engine::units::{Nanos, Split};

use super::Procedure;
use super::figures::{self, Figures, Judge};
use super::rows::Rows;
use super::stretch::Stretch;
use super::usage::Reading;
use crate::profile::Cluster;
use crate::slo::Slo;

/// By how much fewer good requests than are asked for may be chance in a short load.
const CHANCE: f64 = 0.05;

/// Everything that simulations have in common.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) cluster: &'a Cluster,
    /// The load, one a draw.
    pub(super) loads: Vec<Arc<Stretch>>,
    /// What steps take, one a draw.
    pub(super) tables: Vec<Arc<Tabulated>>,
    pub(super) slo: Slo,
    pub(super) attainment: f64,
    pub(super) procedure: Procedure,
}

/// How the units are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) split: Split,
    /// Tokens of a step of aggregated units; `None` leaves the profile's.
    pub(super) chunk: Option<u32>,
}

/// What `scheduler` gives that offers `rows` at `rate` requests per second.
pub(crate) fn run(scheduler: Scheduler, timing: impl Timing, rows: &Arc<Rows>, rate: f64, judge: Judge) -> Figures {
    let mut driver = VirtualDriver::with_sink(scheduler, timing, Pace::Bulk, Samples::with_capacity(rows.len()));
    driver.feed(Arc::clone(rows).arrivals(rate));
    let (from, to) = figures::window(judge.procedure, rows.len());
    let usage = match judge.procedure {
        Procedure::Sustained => {
            let start = Reading::at(&mut driver, rows.due(from, rate));
            Reading::at(&mut driver, rows.due(to, rate)).since(&start)
        }
        Procedure::Burst(_) => {
            let start = Reading::at(&mut driver, Nanos::ZERO);
            Reading::at_end(&mut driver).since(&start)
        }
    };
    driver.run();
    figures::of(judge, rows, rate, driver.sink().rows(), usage)
}

impl World<'_> {
    /// The load as it is first, of the draw in the middle.
    pub(super) fn first(&self) -> Option<&Arc<Rows>> {
        self.loads.first().map(|load| load.first())
    }

    /// What `setting` gives at `rate` requests per second in a draw.
    pub(super) fn figures(&self, setting: Setting, draw: usize, rate: f64) -> Figures {
        self.stretched(setting, draw, rate, |figures| figures.doublings)
    }

    /// The same for whoever asks whether the SLO is met: where it is clearly missed while units still fill, or prompts pile up then, it
    /// will not be met when they have, and nobody waits for that; where it is met, half the way may be enough to miss it.
    pub(super) fn trial(&self, setting: Setting, draw: usize, rate: f64) -> Figures {
        let may_be_met = |figures: &Figures| {
            figures.attainment >= self.attainment - CHANCE && (figures.is_steady || figures.is_coarse)
        };
        self.stretched(setting, draw, rate, |figures| figures.doublings.min(1) * usize::from(may_be_met(figures)))
    }

    /// The load is made longer until what is looked at of it is behind the time in which units fill, each time by as many doublings as
    /// `further` says, and no more where it says none.
    fn stretched(&self, setting: Setting, draw: usize, rate: f64, further: impl Fn(&Figures) -> usize) -> Figures {
        let Some(load) = self.loads.get(draw) else { return Figures::default() };
        let mut figures = self.once(setting, draw, rate, load.first());
        let mut doubled = 0;
        loop {
            let more = further(&figures);
            if more == 0 {
                return figures;
            }
            let Some((times, rows)) = load.doubled(doubled, doubled + more) else { return figures };
            figures = self.once(setting, draw, rate, rows);
            doubled = times;
        }
    }

    fn once(&self, setting: Setting, draw: usize, rate: f64, rows: &Arc<Rows>) -> Figures {
        let Some(tables) = self.tables.get(draw) else { return Figures::default() };
        let mut config = self.cluster.config.clone();
        if let Some(chunk) = setting.chunk {
            config.aggregated.tokens = chunk;
        }
        // What could make it fail was refused with the profile and the split.
        let Ok(scheduler) = Scheduler::new(config, setting.split) else { return Figures::default() };
        let judge = Judge { slo: self.slo, procedure: self.procedure };
        run(scheduler, Arc::clone(tables), rows, rate, judge)
    }

    /// Whether the SLO is met by as many requests as asked for, and would be for ever.
    pub(super) fn is_met(&self, figures: &Figures) -> bool {
        figures.is_steady && figures.attainment >= self.attainment
    }
}
