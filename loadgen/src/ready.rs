//! Whether a target is ready before load is sent: every unit that its control tells of serves, and tiny requests are answered.
//!
//! Who measures a cluster that is still starting measures its start. So both are waited for, and if they do not come true, it is
//! said what is missing.
//!
//! # Which unit has answered
//! Who routes requests decides where they go. So one is sent first, and, where there are more units than it can have passed
//! through, as many at once as there are units. Where answers tell who served them, that is repeated up to [`WAVES`] times until
//! each unit has; one that has not is said before the run, and does not forbid it: it may well be that it is not routed to when so
//! little is under way. Where they do not tell, all that is known is that so many at once were answered, and that units serve is
//! believed on the control's word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::cluster::UnitState;
use engine::units::{Role, UnitId};

use crate::clock::RunClock;
use crate::sample::{Outcome, ServerSide};
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

/// What is said of one that had not ended when time was up.
const NO_ANSWER: &str = "got no answer";
/// Most tiny requests at once.
const AT_ONCE: usize = 256;
/// How often as many at once as there are units are sent for each of them to be met.
const WAVES: usize = 8;
/// Units that are named where none of many has answered.
const NAMED: usize = 8;

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
        "{target} is not ready: {why}, after {after}\nhint: a longer --ready-timeout, or --no-wait to send \
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
        remarks: Vec::new(),
        index: u64::MAX,
    };
    let ready = waiting.all(connection);
    connection.remarks.append(&mut waiting.remarks);
    ready
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
    /// What was told beside, which the run is to tell: its own events begin later.
    remarks: Vec<String>,
    /// The number of the next tiny request, counted down from the top, where no request of a run is.
    index: u64,
}

impl Waiting<'_> {
    fn all(&mut self, connection: &mut Connection) -> Result<(), NotReady> {
        let mut units = BTreeMap::new();
        if let Some(control) = connection.control.clone() {
            loop {
                let (view, vacated) = (control.observe(), control.vacated());
                let Some(missing) = not_serving(&view, &vacated) else {
                    // What serves may have become more since the target was opened.
                    connection.info.split = Some(view.split);
                    let there = view.units.iter().filter(|unit| !vacated.contains(&unit.unit));
                    units = there.map(|unit| (unit.unit, unit.role)).collect();
                    break;
                };
                self.say(&format!("waiting for {missing}"));
                if self.is_up() {
                    let (after, target) = (DurationText(self.patience), std::mem::take(&mut self.target));
                    return Err(NotReady::Units { units: missing, after, target });
                }
                self.listen(connection.events.as_mut())?;
            }
        }
        self.requests(connection, &units)
    }

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
        self.remarks.extend(self.fresh.iter().filter_map(|event| match event {
            TargetEvent::Remark { text, .. } => Some(text.clone()),
            _ => None,
        }));
        // Something else may have come at once.
        let rest = Micros(LOOK.as_micros() as u64).since(self.clock.now().since(before));
        if self.fresh.is_empty() {
            std::thread::sleep(Duration::from_micros(rest.0));
        }
        Ok(())
    }

    /// Asks until there are answers, of each of the `units` as far as that can be seen.
    fn requests(&mut self, connection: &mut Connection, units: &BTreeMap<UnitId, Role>) -> Result<(), NotReady> {
        self.until = self.until.max(self.clock.now() + PROBE.min(self.patience));
        let mut served = Served::default();
        self.answered(connection, 1, &mut served)?;
        let is_pair =
            units.len() == 2 && [Role::Prefill, Role::Decode].iter().all(|of| units.values().any(|role| role == of));
        if units.len() <= 1 || is_pair {
            return Ok(());
        }
        let at_once = units.len().min(AT_ONCE);
        let mut sent = 1;
        for _ in 0..WAVES {
            self.answered(connection, at_once, &mut served)?;
            sent += at_once;
            if served.missing(units).is_empty() {
                return Ok(());
            }
            if self.is_up() {
                break;
            }
        }
        let names = few(&served.missing(units));
        self.remarks.push(format!("{names} answered none of {sent} small requests before the load"));
        Ok(())
    }

    /// Sends so many requests at once, again until all are answered, and adds who is said to have served them.
    fn answered(&mut self, connection: &mut Connection, count: usize, served: &mut Served) -> Result<(), NotReady> {
        let vocabulary = connection.info.limits.vocabulary.max(1);
        let of = match count {
            1 => format!("a request of {PROMPT} tokens"),
            _ => format!("one of {count} requests of {PROMPT} tokens at once"),
        };
        // What became of the one before: of the last one there may be no time left to hear anything.
        let mut before: Option<String> = None;
        loop {
            let mut open = BTreeSet::new();
            let mut failed = None;
            for number in 0..count as u32 {
                // Prompts that differ are not all sent where the first has gone.
                let prompt: Arc<[u32]> = (0..PROMPT).map(|token| (number * PROMPT + token + 1) % vocabulary).collect();
                let dispatch = Dispatch::alone(self.index, prompt, ANSWER);
                match connection.target.submit(dispatch) {
                    Ok(()) => _ = open.insert(self.index),
                    Err(why) => failed = Some(why.to_string()),
                }
                self.index -= 1;
            }
            let ended = self.ends(open, served, connection.target.as_ref(), connection.events.as_mut())?;
            let Some(why) = failed.or(ended) else { return Ok(()) };
            let word = match before.take().filter(|_| why == NO_ANSWER) {
                Some(before) => format!("{before}, and {why} when it was sent again"),
                None => why,
            };
            let why = format!("{of} {word}");
            self.say(&format!("waiting for an answer: {why}"));
            before = Some(word);
            let again = self.clock.now() + AGAIN;
            while self.clock.now() < again {
                if self.is_up() {
                    let target = std::mem::take(&mut self.target);
                    return Err(NotReady::Request { why, after: DurationText(self.patience), target });
                }
                self.listen(connection.events.as_mut())?;
            }
        }
    }

    /// Waits for the ends of the requests in `open`, and adds to `served` who is said to have served them. Gives back what became
    /// of one that was not answered; what has not ended in time is given up.
    fn ends(
        &mut self,
        mut open: BTreeSet<u64>,
        served: &mut Served,
        target: &dyn Target,
        events: &mut dyn TargetEvents,
    ) -> Result<Option<String>, NotReady> {
        let mut failed = None;
        while !open.is_empty() {
            self.listen(events)?;
            for event in self.fresh.drain(..) {
                let TargetEvent::Ended { index, outcome, server, .. } = event else { continue };
                if !open.remove(&index) {
                    continue;
                }
                match outcome {
                    Outcome::Completed => {}
                    Outcome::Failed(failure) => {
                        failed = Some(format!("failed ({}: {})", failure.kind, failure.message));
                    }
                    Outcome::Cut => failed = Some("was cut".to_owned()),
                    Outcome::Cancelled | Outcome::Shed => failed = Some("was given up".to_owned()),
                }
                served.add(server.as_ref());
            }
            if self.is_up() && !open.is_empty() {
                for index in open {
                    target.cancel(index);
                }
                return Ok(failed.or_else(|| Some(NO_ANSWER.to_owned())));
            }
        }
        Ok(failed)
    }
}

/// The units that answers name as those that served them.
#[derive(Debug, Default)]
struct Served {
    prefill: BTreeSet<UnitId>,
    decode: BTreeSet<UnitId>,
}

impl Served {
    fn add(&mut self, server: Option<&ServerSide>) {
        let Some(server) = server else { return };
        self.prefill.extend(server.prefill_unit.map(UnitId));
        self.decode.extend(server.decode_unit.map(UnitId));
    }

    /// Units that have served nothing. Those of a side that no answer names are believed to have.
    fn missing(&self, units: &BTreeMap<UnitId, Role>) -> Vec<(UnitId, Role)> {
        let is_missing = |unit: &UnitId, role: Role| {
            let is_told = match role {
                Role::Prefill => !self.prefill.is_empty(),
                Role::Decode => !self.decode.is_empty(),
                Role::Aggregated => !self.prefill.is_empty() || !self.decode.is_empty(),
            };
            is_told && !self.prefill.contains(unit) && !self.decode.contains(unit)
        };
        units.iter().filter(|(unit, role)| is_missing(unit, **role)).map(|(unit, role)| (*unit, *role)).collect()
    }
}

/// The first few units.
fn few(units: &[(UnitId, Role)]) -> String {
    let mut names: Vec<_> = units.iter().take(NAMED).map(|(unit, role)| format!("{unit} ({role})")).collect();
    if units.len() > NAMED {
        names.push(format!("{} more", units.len() - NAMED));
    }
    names.join(", ")
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
