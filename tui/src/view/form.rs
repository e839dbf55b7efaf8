//! A form: its fields, and what is wrong with what was typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::figures::span;
use crate::action::Action;
use crate::model::Model;
use crate::model::form::{Asked, Field, Form, Subject};
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};
use crate::widget::target::{Parts, Targets};
use crate::widget::wrap::wrap;

const WIDTH: u16 = 72;

/// Draws the overlay.
pub(super) fn form(model: &Model, form: &Form, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    let (title, effect) = match form.subject {
        Subject::Slo => ("SLO", "judges requests that end from now on; earlier judgements stand"),
        Subject::Load => ("LOAD", "holds from the next request on; those drawn before it stay"),
        Subject::Instant(_) => ("GO TO", "all figures are then those of that second"),
    };
    let asked = form.asked();
    // A field that waits to be typed into is not wrong yet.
    let untouched =
        matches!(form.subject, Subject::Instant(_)) && form.fields.iter().all(|field| field.text.is_empty());
    let wrong = asked.as_ref().err().filter(|_| !untouched);
    let mut rows = Vec::new();
    for (place, field) in form.fields.iter().enumerate() {
        let is_wrong = wrong.is_some_and(|wrong| wrong.field == place);
        let rank = if place == form.selected { 0 } else { 2 };
        let choose = Action::Choose(place as u8);
        rows.push(Row::new(rank, line(field, place == form.selected, is_wrong, theme)).does(choose));
    }
    rows.push(Row::new(5, Line::default()));
    let about = form.fields.get(form.selected).map_or("", |field| field.about);
    rows.push(Row::new(3, span(theme, Paint::Dim, format!(" {about}"))));
    let width = usize::from(WIDTH.min(area.width).saturating_sub(6));
    if let Some(wrong) = wrong {
        let mut lines = wrap(&wrong.why, width, 2).into_iter();
        let first = format!(" {} {}", theme.symbols.bad, lines.next().unwrap_or_default());
        rows.push(Row::new(1, span(theme, Paint::Bad, first)));
        rows.push(Row::new(4, span(theme, Paint::Bad, format!("   {}", lines.next().unwrap_or_default()))));
    } else {
        rows.push(Row::new(4, span(theme, Paint::Dim, format!(" {effect}"))));
        rows.push(Row::new(5, Line::default()));
    }
    let can = match &asked {
        Ok(Asked::OfTheRun(commands)) => !commands.is_empty(),
        Ok(Asked::Instant(_)) => true,
        Err(_) => false,
    };
    rows.push(Row::clickable(0, buttons(model, can, form.fields.len() > 1, theme)));
    let title = Line::from(span(theme, Paint::Title, title));
    let cancel = Row::new(0, span(theme, Paint::Dim, "esc:cancel")).does(Action::Back);
    popup(theme, title, cancel, rows, WIDTH, area, buf)
}

fn line(field: &Field, selected: bool, is_wrong: bool, theme: &Theme) -> Line<'static> {
    let s = &theme.symbols;
    let cursor = if selected { s.cursor } else { " " };
    let paint = match (is_wrong, selected) {
        (true, _) => Paint::Bad,
        (false, true) => Paint::Headline,
        (false, false) => Paint::Text,
    };
    let mut spans = vec![
        span(theme, if selected { Paint::Key } else { Paint::Dim }, format!(" {cursor} {:<9}", field.name)),
        span(theme, paint, field.text.clone()),
        if selected { span(theme, Paint::Selected, " ") } else { Span::raw("") },
    ];
    if is_wrong {
        spans.push(span(theme, Paint::Bad, format!(" {}", s.bad)));
    } else if field.is_changed() && field.name != "time" {
        let before = if field.before.is_empty() { s.none } else { &field.before };
        spans.push(span(theme, Paint::Dim, format!("  (was {before})")));
    }
    Line::from(spans)
}

fn buttons(model: &Model, can: bool, several: bool, theme: &Theme) -> Parts {
    if let Some(notice) = &model.notice {
        return Parts::default().text(span(theme, Paint::Warn, format!(" {}", notice.text)));
    }
    let (key, word) = if can { (Paint::Key, Paint::Text) } else { (Paint::Disabled, Paint::Disabled) };
    let dim = |text: &'static str| span(theme, Paint::Dim, text);
    let mut parts = Parts::default()
        .text(Span::raw(" "))
        .button([span(theme, key, "enter"), span(theme, word, ": apply")], Action::Apply);
    if several {
        parts =
            parts.text(dim("   ")).button([dim("↑")], Action::Previous).button([dim("↓: another field")], Action::Next);
    }
    parts
        .text(dim("   "))
        .button([dim("ctrl-u: empty it")], Action::EraseAll)
        .text(dim("   "))
        .button([dim("esc: cancel")], Action::Back)
}
