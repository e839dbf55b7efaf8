//! What each action does.

use loadgen::live::{Command, Phase};
use loadgen::time::Micros;

use super::{Effect, Exit, playing};
use crate::action::{self, Action, Place};
use crate::chart::column;
use crate::format;
use crate::model::form::Asked;
use crate::model::{AskedRate, Form, Model, Overlay, Palette, Requests, ShiftDialog, Speed, WhatIfScreen, rate, shift};
use crate::view::help;

/// Carries out `action`, or says why it cannot be done.
pub(super) fn perform(model: &mut Model, action: Action) -> Vec<Effect> {
    if let Some(reason) = action::refusal(model, action) {
        model.notify(format!("{}: {reason}", action::name(Place::screen(model), action)));
        return Vec::new();
    }
    match action {
        Action::RateUp => return set_rate(model, rate::up),
        Action::RateDown => return set_rate(model, rate::down),
        Action::Pause => return pause(model),
        Action::Freeze => freeze(model),
        Action::Scrub(steps) => model.scrub(|line, now| line.step(i64::from(steps), now)),
        Action::Play => playing::play_or_stop(model),
        Action::Slower => play_at(model, Speed::slower),
        Action::Faster => play_at(model, Speed::faster),
        Action::Seek(seconds) => playing::seek(model, seconds),
        Action::Tenth(tenths) => playing::tenth(model, tenths),
        Action::Goto => model.overlay = Overlay::Form(Form::instant(model.shown().now)),
        Action::Oldest => {
            let start = model.shown().history.first().map_or(Micros::ZERO, |slot| slot.start);
            model.scrub(|line, now| line.place(start, now));
        }
        Action::Live => model.scrub(|line, _| line.live()),
        Action::PreviousEvent => jump(model, false),
        Action::NextEvent => jump(model, true),
        Action::SpanLonger => model.scrub(|line, now| line.show(line.span().longer(), now)),
        Action::SpanShorter => model.scrub(|line, now| line.show(line.span().shorter(), now)),
        Action::FocusNext => model.focus = model.focus.next(),
        Action::FocusPrevious => model.focus = model.focus.previous(),
        Action::Zoom => model.look.zoomed = !model.look.zoomed,
        Action::Heatmap => model.look.heat = !model.look.heat,
        Action::Mouse => {
            model.look.mouse = !model.look.mouse;
            let owner = if model.look.mouse {
                "this screen has the mouse"
            } else {
                "the terminal has the mouse; M takes it back"
            };
            model.notify(owner);
            return vec![Effect::Mouse(model.look.mouse)];
        }
        Action::EditSlo => model.overlay = Overlay::Form(Form::slo(&model.latest)),
        Action::EditLoad => model.overlay = Overlay::Form(Form::load(&model.latest)),
        Action::Apply => return apply(model),
        Action::Requests => model.overlay = Overlay::Requests(Requests::kept(model)),
        Action::Reorder => with_requests(model, Requests::reorder),
        Action::OpenRequest => with_requests(model, |list| list.opened = list.chosen().is_some()),
        Action::Palette => model.overlay = Overlay::Palette(Palette::new(Place::screen(model))),
        Action::RunCommand => return run_command(model),
        Action::Erase => edit(model, |text| {
            text.pop();
        }),
        Action::EraseAll => edit(model, String::clear),
        Action::Help => model.overlay = Overlay::Help(0),
        Action::Back => back(model),
        Action::Shift => model.overlay = Overlay::Shift(ShiftDialog::open(&model.latest)),
        Action::WhatIf => {
            // Predictions are of one instant.
            if let Some(recording) = model.recording_mut() {
                recording.player.pause();
            }
            model.overlay = Overlay::WhatIf(WhatIfScreen::default());
        }
        Action::ShiftThere => shift_there(model),
        Action::Previous => select(model, |position, _| position.saturating_sub(1)),
        Action::Next => select(model, |position, last| (position + 1).min(last)),
        Action::Choose(index) => return choose(model, usize::from(index)),
        Action::Picture => return vec![Effect::Picture],
        Action::Export => return export(model),
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
        Command::Reshape(shape) => format!("{} arrivals, isl {}, osl {}", shape.arrival, shape.isl, shape.osl),
        Command::SetSlo(Some(slo)) => format!("SLO {slo}"),
        Command::SetSlo(None) => "no SLO".to_owned(),
        Command::Shift(split, how) => format!("shift to {split} ({how})"),
        Command::Finish => "finish".to_owned(),
        Command::Abort => "stop".to_owned(),
    }
}

fn play_at(model: &mut Model, change: fn(Speed) -> Speed) {
    if let Some(recording) = model.recording_mut() {
        recording.player.speed = change(recording.player.speed);
        let speed = recording.player.speed.text();
        if !recording.player.is_playing() {
            model.notify(format!("plays at {speed}"));
        }
    }
}

fn freeze(model: &mut Model) {
    model.frozen = model.frozen.take().is_none().then(|| model.latest.clone());
    // Thawed, the cursor's instant is looked up in the newest history.
    model.scrub(|_, _| {});
}

/// Closes what is open, or goes one step back to the plain live screen.
fn back(model: &mut Model) {
    if let Overlay::Requests(list) = &mut model.overlay
        && list.opened
    {
        list.opened = false;
    } else if model.overlay != Overlay::None {
        model.overlay = Overlay::None;
    } else if model.look.zoomed {
        model.look.zoomed = false;
    } else if model.timeline.cursor().is_some() {
        model.scrub(|line, _| line.live());
    } else if model.frozen.is_some() {
        freeze(model);
    }
}

/// Puts the cursor at the marked event before or after it.
fn jump(model: &mut Model, forward: bool) {
    let shown = model.shown();
    let from = model.timeline.cursor();
    // The cursor looks at a whole slot: events in it are where it is already.
    let slot = from.and_then(|at| column::at(&shown.history, at));
    let (start, end) = match (from, slot) {
        (Some(_), Some(slot)) => (slot.start, slot.start + slot.length),
        (Some(at), None) => (at, at),
        (None, _) => (shown.now, shown.now),
    };
    let mut marked = shown.events.iter().filter(|event| event.mark.is_some()).map(|event| event.at);
    let found = if forward { marked.find(|at| *at >= end) } else { marked.rev().find(|at| *at < start) };
    match found {
        Some(at) => model.scrub(|line, now| line.place(at, now)),
        None => model.notify(if forward { "no later event" } else { "no earlier event" }),
    }
}

fn run_command(model: &mut Model) -> Vec<Effect> {
    let Overlay::Palette(palette) = &model.overlay else { return Vec::new() };
    let Some(row) = palette.chosen() else { return Vec::new() };
    model.overlay = Overlay::None;
    perform(model, row.action)
}

/// Asks for what the form says; what cannot be read is said in the form.
fn apply(model: &mut Model) -> Vec<Effect> {
    let Overlay::Form(form) = &mut model.overlay else { return Vec::new() };
    match form.asked() {
        Ok(Asked::Instant(at)) => {
            model.overlay = Overlay::None;
            playing::place(model, at);
            Vec::new()
        }
        Ok(Asked::OfTheRun(commands)) => {
            model.overlay = Overlay::None;
            for rps in commands.iter().filter_map(|command| match command {
                Command::SetRate(rps) => Some(*rps),
                _ => None,
            }) {
                model.asked_rate = Some(asked(model, rps));
            }
            commands.into_iter().map(Effect::Send).collect()
        }
        Err(wrong) => {
            form.selected = wrong.field;
            Vec::new()
        }
    }
}

/// Changes what was typed.
pub(super) fn edit(model: &mut Model, change: impl FnOnce(&mut String)) {
    match &mut model.overlay {
        Overlay::Palette(palette) => {
            change(&mut palette.text);
            palette.selected = 0;
        }
        Overlay::Form(form) => {
            if let Some(field) = form.fields.get_mut(form.selected) {
                change(&mut field.text);
            }
        }
        _ => {}
    }
}

/// The rate that was asked for, until the run confirms it.
fn asked(model: &Model, rps: f64) -> AskedRate {
    AskedRate { rps, until: model.latest.now + Micros(5_000_000) }
}

fn set_rate(model: &mut Model, step: fn(f64) -> f64) -> Vec<Effect> {
    let before = model.asked_rate.map_or(model.latest.rate_rps, |asked| asked.rps);
    let rps = step(before);
    model.asked_rate = Some(asked(model, rps));
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
    let last = help::last_row(Place::screen(model), model.screen.height);
    if let Overlay::Help(from) = &mut model.overlay {
        *from = to((*from).min(last), last);
        return;
    }
    if let Overlay::Requests(list) = &mut model.overlay {
        list.selected = to(list.selected, list.lines().len().saturating_sub(1));
        return;
    }
    if let Overlay::Form(form) = &mut model.overlay {
        form.selected = to(form.selected, form.fields.len().saturating_sub(1));
        return;
    }
    if let Overlay::Palette(palette) = &mut model.overlay {
        let last = palette.matches().len().saturating_sub(1);
        palette.selected = to(palette.selected.min(last), last);
        return;
    }
    if let Overlay::WhatIf(screen) = model.overlay {
        let Some(of) = model.forecast() else { return };
        let position = to(screen.position(of), of.splits.len().saturating_sub(1));
        let selected = of.splits.get(position).map(|of| of.split);
        model.overlay = Overlay::WhatIf(WhatIfScreen { selected });
        return;
    }
    let Overlay::Shift(dialog) = &mut model.overlay else { return };
    let moves = dialog.moves(&model.latest);
    let position = to(dialog.position(&moves), moves.len().saturating_sub(1));
    if let Some(chosen) = moves.get(position) {
        dialog.selected = chosen.choice();
    }
}

/// Selects a line. Of commands and requests, a click on what is selected does what enter does.
fn choose(model: &mut Model, index: usize) -> Vec<Effect> {
    match &model.overlay {
        Overlay::Palette(palette) if palette.selected == index => return run_command(model),
        Overlay::Requests(list) if list.selected == index => return perform(model, Action::OpenRequest),
        Overlay::WhatIf(screen) if model.forecast().is_some_and(|of| screen.position(of) == index) => {
            return perform(model, Action::ShiftThere);
        }
        _ => select(model, |_, last| index.min(last)),
    }
    Vec::new()
}

fn with_requests(model: &mut Model, change: impl FnOnce(&mut Requests)) {
    if let Overlay::Requests(list) = &mut model.overlay {
        change(list);
    }
}

fn toggle_how(model: &mut Model) {
    if let Overlay::Shift(dialog) = &mut model.overlay {
        dialog.how = dialog.next_how(&model.latest);
    }
}

/// Opens the shift dialog on the split that is selected on the what-if screen.
fn shift_there(model: &mut Model) {
    let Overlay::WhatIf(screen) = model.overlay else { return };
    let Some(to) = model.forecast().and_then(|of| screen.chosen(of)) else {
        return model.notify("no split is predicted that could be shifted to");
    };
    if to == shift::base(&model.latest) {
        return model.notify(format!("{to} serves already"));
    }
    model.overlay = Overlay::Shift(ShiftDialog::there(&model.latest, to));
}

/// What is predicted now, for a file.
fn export(model: &mut Model) -> Vec<Effect> {
    let Overlay::WhatIf(screen) = model.overlay else { return Vec::new() };
    let Some(of) = model.forecast() else {
        model.notify("nothing is predicted that could be written");
        return Vec::new();
    };
    let told = loadgen::whatif::export(of, &model.outlook, screen.chosen(of).unwrap_or(of.now));
    vec![Effect::Export(format!("{told:#}\n"))]
}

fn confirm_shift(model: &mut Model) -> Vec<Effect> {
    let Overlay::Shift(dialog) = model.overlay else { return Vec::new() };
    let moves = dialog.moves(&model.latest);
    let Some(chosen) = moves.get(dialog.position(&moves)) else { return Vec::new() };
    if let Some(reason) = &chosen.refused {
        model.notify(format!("{} to {}: {reason}", chosen.from, chosen.to));
        return Vec::new();
    }
    model.overlay = Overlay::None;
    model.notify(format!("asked for {} ({})", chosen.result, dialog.how));
    vec![Effect::Send(Command::Shift(chosen.result, dialog.how))]
}
