//! What each action does.

use engine::cluster::How;
use loadgen::live::{Command, Phase};
use loadgen::time::Micros;

use super::{Effect, Exit};
use crate::action::{self, Action};
use crate::format;
use crate::model::{AskedRate, Model, Overlay, ShiftDialog, rate, shift};

/// Carries out `action`, or says why it cannot be done.
pub(super) fn perform(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Some(reason) = action::refusal(model, action) {
        model.notify(format!("{}: {reason}", name(action)));
        return Vec::new();
    }
    match action {
        Action::RateUp => return set_rate(model, rate::up),
        Action::RateDown => return set_rate(model, rate::down),
        Action::Pause => return pause(model),
        Action::Freeze => model.frozen = model.frozen.take().is_none().then(|| model.latest.clone()),
        Action::Span => model.span = model.span.next(),
        Action::Help => model.overlay = Overlay::Help,
        Action::Back => model.overlay = Overlay::None,
        Action::Shift => model.overlay = Overlay::Shift(ShiftDialog::open(&model.latest)),
        Action::Previous => select(model, |position, _| position.saturating_sub(1)),
        Action::Next => select(model, |position, last| (position + 1).min(last)),
        Action::ToggleHow => toggle_how(model),
        Action::ConfirmShift => return confirm_shift(model),
        Action::Quit => {
            if model.is_gone() {
                return vec![Effect::Leave(Exit::Done)];
            }
            model.overlay = Overlay::Quit;
        }
        Action::StopAndLeave => return vec![Effect::Send(Command::Abort), Effect::Leave(Exit::Stopped)],
        Action::FinishAndLeave => return finish(model),
        Action::Interrupt => {
            return if model.is_gone() {
                vec![Effect::Leave(Exit::Done)]
            } else if model.leaving {
                vec![Effect::Send(Command::Abort), Effect::Leave(Exit::Stopped)]
            } else {
                finish(model)
            };
        }
    }
    Vec::new()
}

/// A command in words, for messages.
pub(super) fn words(command: &Command) -> String {
    match command {
        Command::SetRate(rps) => format!("rate {}/s", format::rate(*rps)),
        Command::Pause => "pause".to_owned(),
        Command::Resume => "resume".to_owned(),
        Command::Shift(split, how) => format!("shift to {split} ({how})"),
        Command::Finish => "finish".to_owned(),
        Command::Abort => "stop".to_owned(),
    }
}

fn name(action: Action) -> &'static str {
    match action {
        Action::RateUp | Action::RateDown => "rate",
        Action::Pause => "pause",
        _ => "shift",
    }
}

fn set_rate(model: &mut Model, step: fn(f64) -> f64) -> Vec<Effect> {
    let before = model.asked_rate.map_or(model.latest.rate_rps, |asked| asked.rps);
    let rps = step(before);
    model.asked_rate = Some(AskedRate { rps, until: model.latest.now + Micros(5_000_000) });
    vec![Effect::Send(Command::SetRate(rps))]
}

fn pause(model: &mut Model) -> Vec<Effect> {
    let command = if model.latest.phase == Phase::Paused { Command::Resume } else { Command::Pause };
    vec![Effect::Send(command)]
}

fn finish(model: &mut Model) -> Vec<Effect> {
    model.overlay = Overlay::None;
    model.leaving = true;
    vec![Effect::Send(Command::Finish)]
}

fn select(model: &mut Model, to: impl Fn(usize, usize) -> usize) {
    let moves = shift::moves(&model.latest);
    let Overlay::Shift(dialog) = &mut model.overlay else { return };
    let position = to(dialog.position(&moves), moves.len().saturating_sub(1));
    if let Some(chosen) = moves.get(position) {
        dialog.selected = (chosen.from, chosen.to);
    }
}

fn toggle_how(model: &mut Model) {
    if let Overlay::Shift(dialog) = &mut model.overlay {
        dialog.how = match dialog.how {
            How::Drain => How::Migrate,
            How::Migrate => How::Drain,
        };
    }
}

fn confirm_shift(model: &mut Model) -> Vec<Effect> {
    let Overlay::Shift(dialog) = model.overlay else { return Vec::new() };
    let moves = shift::moves(&model.latest);
    let Some(chosen) = moves.get(dialog.position(&moves)) else { return Vec::new() };
    if let Some(reason) = &chosen.refused {
        model.notify(format!("{} to {}: {reason}", chosen.from, chosen.to));
        return Vec::new();
    }
    model.overlay = Overlay::None;
    model.notify(format!("asked for {} ({})", chosen.result, dialog.how));
    vec![Effect::Send(Command::Shift(chosen.result, dialog.how))]
}
