//! A shift by a control plane: every step is made from here, so it is followed to its end or left where it is.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Context, bail};
use engine::cluster::{How, UnitState};
use engine::units::Split;
use loadgen::clock::RunClock;
use loadgen::control::at::ControlAt;
use loadgen::control::listener::Listener;
use loadgen::target::TargetEvent;
use loadgen::time::Micros;

use super::outcome::{Outcome, Report};
use crate::command::signals::Signals;
use crate::command::tell;

/// Events that wait to be read. Beyond them the control thread waits, too.
const EVENTS: usize = 1024;
/// How often the user is asked whether to go on.
const LOOK: Duration = Duration::from_millis(100);

/// Hands events over.
struct Told {
    events: SyncSender<TargetEvent>,
    clock: RunClock,
}

impl Listener for Told {
    async fn tell(&self, events: &mut Vec<TargetEvent>) {
        for event in events.drain(..) {
            // Nobody reads any more when the program ends.
            let _ = self.events.send(event);
        }
    }

    fn now(&self) -> Micros {
        self.clock.now()
    }
}

/// Every call that a shift would make, one a line; and whether the first would be taken, where that could be asked.
///
/// # Errors
/// When the control plane cannot be reached, or the shift would be refused.
pub(super) fn preview(control: ControlAt, to: Split, how: How) -> anyhow::Result<(String, bool)> {
    let preview = control.preview(to, how).map_err(anyhow::Error::msg)?;
    let calls = preview.calls.iter().enumerate().map(|(before, call)| format!("{:>3}. {call}", before + 1));
    let asked = preview.rehearsed.as_ref().map(|asked| match asked {
        Ok(()) => "   - asked beforehand, it would be taken".to_owned(),
        Err(why) => format!("   - asked beforehand, it would not be taken: {why}"),
    });
    let remarks = preview.remarks.iter().map(|remark| format!("   - {remark}"));
    let head = format!("{} to {to}: nothing was called", preview.from);
    let lines: Vec<_> = std::iter::once(head).chain(calls).chain(asked).chain(remarks).collect();
    let taken = !matches!(preview.rehearsed, Some(Err(_)));
    Ok((lines.join("\n") + "\n", taken))
}

/// Shifts, and waits for the end.
///
/// # Errors
/// When the control plane cannot be reached.
pub(super) fn shift(control: ControlAt, name: &str, to: Split, how: How) -> anyhow::Result<Report> {
    let (events, told) = sync_channel(EVENTS);
    let listener = Told { events, clock: RunClock::start() };
    let (control, from) = control.open(listener)?;
    let report = |ticket, outcome| Report { ticket, from, to, how, outcome };
    if from == to && control.observe().units.iter().all(|unit| unit.state == UnitState::Serving) {
        return Ok(report(None, Outcome::Already));
    }
    tell(&format!("shift of {name} from {from} to {to}"));
    control.shift(to, how).map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::install() }).context("cannot listen for signals")?;
    let mut ticket = None;
    loop {
        let stopped = runtime.block_on(async { tokio::time::timeout(Duration::ZERO, signals.next()).await.is_ok() });
        if stopped {
            let account = control.account().unwrap_or_else(|| control.observe().split.to_string());
            let why = format!("stopped half-way and left as it is: {account}");
            return Ok(report(ticket, Outcome::LeftAlone { why }));
        }
        let Some(event) = next(&told)? else { continue };
        match event {
            TargetEvent::ShiftAccepted { id, .. } => ticket = Some(id),
            TargetEvent::ShiftEnded { report: took, .. } if Some(took.id) == ticket => {
                let outcome = match took.abandoned.clone() {
                    None => Outcome::Converged { report: Some(took) },
                    Some(why) => Outcome::Abandoned { why, report: took },
                };
                return Ok(report(ticket, outcome));
            }
            TargetEvent::ShiftRefused { why, .. } => return Ok(report(ticket, Outcome::Dropped { why })),
            TargetEvent::ShiftDropped { id, why, .. } if Some(id) == ticket => {
                return Ok(report(ticket, Outcome::Dropped { why }));
            }
            other => say(&other),
        }
    }
}

fn next(told: &Receiver<TargetEvent>) -> anyhow::Result<Option<TargetEvent>> {
    match told.recv_timeout(LOOK) {
        Ok(event) => Ok(Some(event)),
        Err(RecvTimeoutError::Timeout) => Ok(None),
        Err(RecvTimeoutError::Disconnected) => bail!("the control thread has ended"),
    }
}

/// What happens on the way.
fn say(event: &TargetEvent) {
    match event {
        TargetEvent::Remark { text, .. } => tell(text),
        TargetEvent::Unit { unit, role, state, .. } => {
            let does = match state {
                UnitState::Serving => "serves",
                UnitState::Draining { .. } => "drains",
                UnitState::Switching => "is between two processes",
                UnitState::Warming => "starts",
                UnitState::Failed => "is gone",
            };
            tell(&format!("{unit} ({role}) {does}"));
        }
        TargetEvent::UnitLost { unit, why, .. } => tell(&format!("{unit} was lost: {why}")),
        _ => {}
    }
}
