//! The only place that changes the model: a message comes in, effects come out.

mod mouse;
mod perform;
mod playing;

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent, MouseEventKind};
use loadgen::live::{Command, Phase, Snapshot};
use loadgen::time::Micros;
use loadgen::whatif::{Outlook, PastAsk};
use ratatui::layout::{Rect, Size};

use crate::action::{self, Action, Place};
use crate::model::Model;

/// Something happened.
#[derive(Clone, Debug)]
pub enum Msg {
    /// The run looks like this now.
    Snapshot(Arc<Snapshot>),
    /// Other splits would give this.
    Outlook(Arc<Outlook>),
    /// At this instant of the recording, other splits would have given this.
    Hindsight(PastAsk, Arc<Outlook>),
    /// A key was pressed.
    Key(KeyEvent),
    /// The mouse did something on a screen of this size.
    Mouse(MouseEvent, Rect),
    /// Something that does this was clicked.
    Click(Action),
    /// The screen has this size now.
    Resized(Size),
    /// A picture was written to this file, or it could not be.
    Pictured(Result<String, String>),
    /// A prediction was written to this file, or it could not be.
    Exported(Result<String, String>),
    /// The asciicast of this session ended early, and why.
    CastEnded(String),
    /// The process got SIGINT: the same as ctrl-c.
    Interrupt,
    /// The process got SIGTERM or SIGHUP.
    Terminate,
    /// Time passes: the instant on a clock that is the same for all ticks. By it a recording is played, and messages go away.
    Tick(Micros),
    /// No further snapshot will come.
    Ended,
    /// A command did not reach the run, because its queue is full or the run is over.
    Undelivered(Command),
}

/// Something for the shell to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask this of the run.
    Send(Command),
    /// Take the mouse, or let the terminal have it.
    Mouse(bool),
    /// Write a picture of the screen as it is now.
    Picture,
    /// Write this prediction into a file.
    Export(String),
    /// Find out what other splits would have given at this instant of the recording.
    Ask(PastAsk),
    /// Leave the screen.
    Leave(Exit),
}

/// Why the screen was left. The run may still be going on; ending it is the caller's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The run was over.
    Done,
    /// The operator does not want to wait for what is in flight.
    Stopped,
    /// The process was told to go.
    Terminated,
}

/// Takes a message into the model and says what the shell has to do.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let mut effects = take(model, msg);
    let asked = model.asked_of_the_past().filter(|ask| model.hindsight != Some(*ask));
    if let Some(ask) = asked {
        (model.hindsight, model.outlook) = (Some(ask), Arc::default());
        effects.push(Effect::Ask(ask));
    }
    effects
}

fn take(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Snapshot(snapshot) => take_snapshot(model, snapshot),
        Msg::Outlook(outlook) => {
            model.outlook = outlook;
            Vec::new()
        }
        Msg::Hindsight(ask, outlook) => {
            // An answer to what is not asked any more says nothing of what is shown.
            if model.hindsight == Some(ask) {
                model.outlook = outlook;
            }
            Vec::new()
        }
        Msg::Key(key) => {
            model.notice = None;
            if let Some(action) = action::lookup(Place::of(model), &key) {
                return perform::perform(model, action);
            }
            type_letter(model, &key);
            Vec::new()
        }
        Msg::Mouse(event, screen) => {
            if matches!(event.kind, MouseEventKind::Down(_)) {
                model.notice = None;
            }
            mouse::mouse(model, event, screen).map_or_else(Vec::new, |action| perform::perform(model, action))
        }
        Msg::Click(action) => {
            model.notice = None;
            // What was seen may be gone since.
            if action::is_at(Place::of(model), action) { perform::perform(model, action) } else { Vec::new() }
        }
        Msg::Resized(size) => {
            model.screen = size;
            Vec::new()
        }
        Msg::Pictured(Ok(file)) | Msg::Exported(Ok(file)) => {
            model.notify(format!("wrote {file}"));
            Vec::new()
        }
        Msg::Exported(Err(why)) => {
            model.notify(format!("no export: {why}"));
            Vec::new()
        }
        Msg::Pictured(Err(why)) => {
            model.notify(format!("no picture: {why}"));
            Vec::new()
        }
        Msg::CastEnded(why) => {
            model.notify(why);
            Vec::new()
        }
        Msg::Interrupt => perform::perform(model, Action::Interrupt),
        Msg::Terminate => vec![Effect::Send(Command::Abort), Effect::Leave(Exit::Terminated)],
        Msg::Tick(now) => {
            model.expire_notice(now);
            playing::tick(model, now);
            Vec::new()
        }
        Msg::Ended => {
            model.ended = true;
            leave_when_over(model)
        }
        Msg::Undelivered(command) => {
            model.asked_rate = None;
            let asked = perform::words(&command);
            model.notify(if model.is_gone() {
                format!("not done: {asked}; the run is over")
            } else {
                format!("not done: {asked}; the run is behind with earlier commands, try again")
            });
            Vec::new()
        }
    }
}

/// More than any name of an action has letters.
const LONGEST_TEXT: usize = 64;

/// A key without a meaning is a letter, where text is typed.
fn type_letter(model: &mut Model, key: &KeyEvent) {
    let KeyCode::Char(letter) = key.code else { return };
    if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
        return;
    }
    perform::edit(model, |text| {
        if text.len() < LONGEST_TEXT {
            text.push(letter);
        }
    });
}

fn take_snapshot(model: &mut Model, snapshot: Arc<Snapshot>) -> Vec<Effect> {
    let now = snapshot.now;
    let rate = snapshot.rate_rps;
    model.asked_rate.take_if(|asked| asked.until <= now || (asked.rps - rate).abs() <= asked.rps.abs() * 1e-6);
    model.latest = snapshot;
    if model.is_ahead() {
        model.scrub(|_, _| {});
    }
    leave_when_over(model)
}

fn leave_when_over(model: &Model) -> Vec<Effect> {
    let over = model.ended || model.latest.phase == Phase::Done;
    if model.leaving && over { vec![Effect::Leave(Exit::Done)] } else { Vec::new() }
}
