//! Goodput over the splits: predicted with its interval, and measured.

use loadgen::whatif::WhatIf;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::figures::span;
use crate::format;
use crate::model::Model;
use crate::theme::{Paint, Theme};
use crate::widget::panel;

/// Columns of the value axis.
const GUTTER: u16 = 6;

/// Draws it.
pub(super) fn panel(model: &Model, of: &WhatIf, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let s = &theme.symbols;
    let title = Line::from(span(theme, Paint::Title, "GOODPUT BY SPLIT"));
    let legend = format!("{} predicted {} measured", s.off, s.on);
    let inner = panel::panel(theme, false, title, Line::from(span(theme, Paint::Dim, legend)), area, buf);
    if inner.width <= GUTTER || inner.height < 3 || of.splits.is_empty() {
        return;
    }
    let body = Rect { x: inner.x + GUTTER, width: inner.width - GUTTER, height: inner.height - 1, ..inner };
    let most = of.splits.iter().map(|of| of.goodput_rps.hi).fold(of.rate_rps, f64::max);
    if !(most.is_finite() && most > 0.0) {
        return;
    }
    let row = |value: f64| {
        let from_below = (value / most).clamp(0.0, 1.0) * f64::from(body.height - 1);
        body.bottom() - 1 - from_below.round() as u16
    };
    for (value, text) in [(most, format::number(most)), (0.0, "0".to_owned())] {
        let label = format!("{text:>5}{}", s.tick);
        buf.set_span(inner.x, row(value), &span(theme, Paint::Dim, label), GUTTER);
    }
    // What is offered bounds what can be good.
    for x in body.x..body.right() {
        put(buf, x, row(of.rate_rps), s.bound, theme, Paint::Offered);
    }
    let step = f64::from(body.width) / of.splits.len() as f64;
    let mut free = body.x;
    for (place, split) in of.splits.iter().enumerate() {
        let x = body.x + ((place as f64 + 0.5) * step) as u16;
        for y in row(split.goodput_rps.hi)..=row(split.goodput_rps.lo) {
            put(buf, x, y, s.mark, theme, Paint::Dim);
        }
        let paint = if split.split == of.now { Paint::Headline } else { Paint::Text };
        put(buf, x, row(split.goodput_rps.mid), s.off, theme, paint);
        let measured = model.outlook.score.measured.iter().find(|measured| measured.split == split.split);
        if let Some(measured) = measured {
            put(buf, x, row(measured.goodput_rps), s.on, theme, Paint::Good);
        }
        let name = split.split.to_string();
        let start = x.saturating_sub(name.len() as u16 / 2).max(body.x);
        // A label that would run into the one before is left out.
        if start >= free && start + name.len() as u16 <= body.right() {
            buf.set_span(start, inner.bottom() - 1, &span(theme, paint, name.clone()), name.len() as u16);
            free = start + name.len() as u16 + 1;
        }
    }
}

fn put(buf: &mut Buffer, x: u16, y: u16, symbol: &str, theme: &Theme, paint: Paint) {
    if let Some(cell) = buf.cell_mut((x, y)) {
        cell.set_symbol(symbol).set_style(theme.style(paint));
    }
}
