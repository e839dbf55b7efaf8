//! Whether a target is ready before load is sent: every unit that its control tells of serves, and a tiny request is answered.
//!
//! Who measures a cluster that is still starting measures its start. So both are waited for, and if they do not come true, it is
//! said what is missing.

use std::sync::Arc;
use std::time::Duration;

use engine::cluster::UnitState;
use engine::units::UnitId;

use crate::clock::RunClock;
use crate::sample::Outcome;
use crate::target::{ClusterView, Connection, Dispatch, Target, TargetEvent, TargetEvents};
use crate::text::DurationText;
use crate::time::Micros;

/// Between two looks at the units, and the longest wait for an event.
const LOOK: Duration = Duration::from_millis(200);
/// Between a tiny request that failed and the next.
const AGAIN: Micros = Micros(1_000_000);
/// What a tiny request is given at least, however late the units have come to serve; less only where less was stated.
const PROBE: Micros = Micros(5_000_000);
/// Tokens of its prompt: too few to fill a block of anybody's prefix cache.
const PROMPT: u32 = 4;
/// Tokens of its answer: the second is computed behind a hand-off.
const ANSWER: u32 = 2;

/// Why a target is not ready. What it waits for has not come true in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// Units do not serve.
    #[error(
        "{target} is not ready: of its units {units} after {after}\nhint: a longer --ready-timeout, or --no-wait to send load all the same"
    )]
    Units {
        /// The target.
        target: String,
        /// Which, and what they do.
        units: String,
        /// How long that was waited for.
        after: DurationText,
    },
    /// A tiny request was not answered.
    #[error(
        "{target} is not ready: a request of {PROMPT} tokens {why}, after {after}\nhint: a longer --ready-timeout, or --no-wait to send \
         load all the same"
    )]
    Request {
        /// The target.
        target: String,
        /// What became of it.
        why: String,
        /// How long an answer was waited for.
        after: DurationText,
    },
    /// Nothing will ever come of it.
    #[error("{0} has stopped")]
    Stopped(String),
}

/// Waits until `connection` is ready, up to `patience`, of which `spent` is over by now; `told` hears what is waited for
/// whenever that changes. Blocks, and reads events that came before the run: a run begins with a look at the units.
///
/// # Errors
/// When it is not ready in time, or has stopped.
pub fn wait(
    connection: &mut Connection,
    patience: Micros,
    spent: Micros,
    mut told: impl FnMut(&str),
) -> Result<(), NotReady> {
    let mut waiting = Waiting {
        clock: RunClock::start(),
        patience,
        until: patience.since(spent),
        said: String::new(),
        told: &mut told,
        fresh: Vec::new(),
        target: connection.info.name.clone(),
    };
    if let Some(control) = connection.control.clone() {
        loop {
            let view = control.observe();
            let Some(units) = not_serving(&view, &control.vacated()) else {
                // What serves may have become more since the target was opened.
                connection.info.split = Some(view.split);
                break;
            };
            waiting.say(&format!("waiting for {units}"));
            if waiting.is_up() {
                return Err(NotReady::Units { units, after: DurationText(patience), target: waiting.target });
            }
            waiting.listen(connection.events.as_mut())?;
        }
    }
    waiting.request(connection)
}

struct Waiting<'t> {
    clock: RunClock,
    /// As it was stated.
    patience: Micros,
    /// When it is over.
    until: Micros,
    /// What was told last.
    said: String,
    told: &'t mut dyn FnMut(&str),
    fresh: Vec<TargetEvent>,
    target: String,
}

impl Waiting<'_> {
    fn is_up(&self) -> bool {
        self.clock.now() >= self.until
    }

    fn say(&mut self, line: &str) {
        if self.said != line {
            line.clone_into(&mut self.said);
            (self.told)(line);
        }
    }

    /// Reads what comes within a moment.
    fn listen(&mut self, events: &mut dyn TargetEvents) -> Result<(), NotReady> {
        self.fresh.clear();
        let before = self.clock.now();
        if !events.drain(&mut self.fresh, LOOK) {
            return Err(NotReady::Stopped(std::mem::take(&mut self.target)));
        }
        // Something else may have come at once.
        let rest = Micros(LOOK.as_micros() as u64).since(self.clock.now().since(before));
        if self.fresh.is_empty() {
            std::thread::sleep(Duration::from_micros(rest.0));
        }
        Ok(())
    }

    /// Asks until there is an answer.
    fn request(&mut self, connection: &mut Connection) -> Result<(), NotReady> {
        self.until = self.until.max(self.clock.now() + PROBE.min(self.patience));
        let vocabulary = connection.info.limits.vocabulary.max(1);
        let prompt: Arc<[u32]> = (0..PROMPT).map(|token| (token + 1) % vocabulary).collect();
        // Counted down from the top, where no request of a run is.
        for index in (0..=u64::MAX).rev() {
            let dispatch = Dispatch { index, prompt: Arc::clone(&prompt), output_tokens: ANSWER };
            let why = match connection.target.submit(dispatch) {
                Err(why) => why.to_string(),
                Ok(()) => match self.outcome(index, connection.target.as_ref(), connection.events.as_mut())? {
                    Some(Outcome::Completed) => return Ok(()),
                    Some(Outcome::Failed(failure)) => format!("failed ({}: {})", failure.kind, failure.message),
                    Some(Outcome::Cut) => "was cut".to_owned(),
                    Some(Outcome::Cancelled | Outcome::Shed) => "was given up".to_owned(),
                    None => "got no answer".to_owned(),
                },
            };
            self.say(&format!("waiting for an answer: a request of {PROMPT} tokens {why}"));
            let again = self.clock.now() + AGAIN;
            while self.clock.now() < again {
                if self.is_up() {
                    let target = std::mem::take(&mut self.target);
                    return Err(NotReady::Request { why, after: DurationText(self.patience), target });
                }
                self.listen(connection.events.as_mut())?;
            }
        }
        Ok(())
    }

    /// What became of a request; `None` when nothing has in time, and then it is given up.
    fn outcome(
        &mut self,
        index: u64,
        target: &dyn Target,
        events: &mut dyn TargetEvents,
    ) -> Result<Option<Outcome>, NotReady> {
        loop {
            self.listen(events)?;
            for event in self.fresh.drain(..) {
                match event {
                    TargetEvent::Ended { index: ended, outcome, .. } if ended == index => return Ok(Some(outcome)),
                    _ => {}
                }
            }
            if self.is_up() {
                target.cancel(index);
                return Ok(None);
            }
        }
    }
}

/// Units that do not serve, and what they do instead. Those that are `vacated` are not missed.
fn not_serving(view: &ClusterView, vacated: &[UnitId]) -> Option<String> {
    let units = view.units.iter().filter(|unit| !vacated.contains(&unit.unit));
    let missing = units.filter_map(|unit| {
        let does = match unit.state {
            UnitState::Serving => return None,
            UnitState::Draining { .. } => "drains",
            UnitState::Switching => "changes its role",
            UnitState::Warming => "is still starting",
            UnitState::Failed => "is lost",
        };
        Some(format!("{} ({}) {does}", unit.unit, unit.role))
    });
    let missing: Vec<_> = missing.collect();
    if view.units.is_empty() {
        return Some("none is there".to_owned());
    }
    (!missing.is_empty()).then(|| missing.join(", "))
}

#[cfg(test)]
mod tests;
