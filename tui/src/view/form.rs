//! A form: its fields, and what is wrong with what was typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::figures::span;
use crate::model::Model;
use crate::model::form::{Asked, Field, Form, Subject};
use crate::theme::{Paint, Theme};
use crate::widget::popup::{Row, popup};
use crate::widget::wrap::wrap;

const WIDTH: u16 = 72;

/// Draws the overlay.
pub(super) fn form(model: &Model, form: &Form, theme: &Theme, area: Rect, buf: &mut Buffer) {
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
        rows.push(Row::new(rank, line(field, place == form.selected, is_wrong, theme)));
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
    rows.push(Row::new(0, buttons(model, can, form.fields.len() > 1, theme)));
    let title = Line::from(span(theme, Paint::Title, title));
    popup(theme, title, Line::from(span(theme, Paint::Dim, "esc:cancel")), rows, WIDTH, area, buf);
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

fn buttons(model: &Model, can: bool, several: bool, theme: &Theme) -> Line<'static> {
    if let Some(notice) = &model.notice {
        return span(theme, Paint::Warn, format!(" {}", notice.text)).into();
    }
    let another = if several { "   ↑↓: another field" } else { "" };
    let (key, word) = if can { (Paint::Key, Paint::Text) } else { (Paint::Disabled, Paint::Disabled) };
    Line::from_iter([
        span(theme, key, " enter"),
        span(theme, word, ": apply"),
        span(theme, Paint::Dim, format!("{another}   ctrl-u: empty it   esc: cancel")),
    ])
}
