//! The mouse: a click gives the focus, dragging scrubs, the wheel shows more or less time. Each has a key as well.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::action::Action;
use crate::model::{Model, Overlay, Panel};
use crate::view::layout::{layout, time_area};
use crate::view::scrub;

/// What the event asks for, if anything: the focus moves at once.
pub(super) fn mouse(model: &mut Model, event: MouseEvent, screen: Rect) -> Option<Action> {
    if model.overlay != Overlay::None {
        return match event.kind {
            MouseEventKind::ScrollUp => Some(Action::Previous),
            MouseEventKind::ScrollDown => Some(Action::Next),
            _ => None,
        };
    }
    match event.kind {
        MouseEventKind::ScrollUp => Some(Action::SpanShorter),
        MouseEventKind::ScrollDown => Some(Action::SpanLonger),
        MouseEventKind::Down(MouseButton::Left) => {
            if grab(model, event, screen) {
                return None;
            }
            if let Some(panel) = hit(model, Position::new(event.column, event.row), screen) {
                model.focus = panel;
            }
            None
        }
        MouseEventKind::Drag(MouseButton::Left) => {
            if model.recording().is_some_and(|recording| recording.dragging) {
                scrub(model, event.column, screen);
            } else {
                drag(model, event.column, screen);
            }
            None
        }
        MouseEventKind::Up(MouseButton::Left) => {
            if let Some(recording) = model.recording_mut() {
                recording.dragging = false;
            }
            None
        }
        _ => None,
    }
}

fn hit(model: &Model, at: Position, screen: Rect) -> Option<Panel> {
    layout(model, screen).panels.into_iter().find(|(_, place)| place.contains(at)).map(|(panel, _)| panel)
}

/// Takes hold of the scrub bar, if the button went down on it.
fn grab(model: &mut Model, event: MouseEvent, screen: Rect) -> bool {
    let on_bar = layout(model, screen).scrub.contains(Position::new(event.column, event.row));
    let Some(recording) = model.recording_mut() else { return false };
    recording.dragging = on_bar;
    if on_bar {
        scrub(model, event.column, screen);
    }
    on_bar
}

/// Puts the cursor where the scrub bar shows this column.
fn scrub(model: &mut Model, column: u16, screen: Rect) {
    let bar = layout(model, screen).scrub;
    if let Some(at) = scrub::instant(model, bar, column) {
        model.scrub(|line, now| line.place(at, now));
    }
}

/// The chart where the button went down keeps the cursor, wherever the mouse is dragged.
fn drag(model: &mut Model, column: u16, screen: Rect) {
    let focus = model.focus;
    let place = layout(model, screen).panels.into_iter().find(|(panel, _)| *panel == focus);
    let Some(body) = place.and_then(|(panel, place)| time_area(panel, place)).filter(|body| !body.is_empty()) else {
        return;
    };
    let column = column.clamp(body.x, body.right() - 1) - body.x;
    let at = model.axis().instant(usize::from(column), usize::from(body.width));
    model.scrub(|line, now| line.place(at, now));
}
