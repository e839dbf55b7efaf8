//! Paints a chart: value axis on the left, time axis below, a row for the labels of marks above, lines in the glyphs that the
//! terminal has.

mod heat;
mod lines;
mod stack;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::chart::{ChartSpec, Column, Mark, TimeAxis, ValueAxis};
use crate::format;
use crate::theme::{Paint, Theme};

pub use heat::heat;
use lines::Grid;
pub use stack::stack;

/// Columns of the value axis: four for the label, one for the tick.
const GUTTER: u16 = 5;

/// How many columns of dots a chart in `area` has.
pub fn dot_columns(theme: &Theme, area: Rect) -> usize {
    usize::from(area.width.saturating_sub(GUTTER)) * Grid::of(theme.set).across
}

/// The part of `area` between the axes, where there is room for any.
pub fn body(area: Rect) -> Option<Rect> {
    if area.width <= GUTTER || area.height == 0 {
        return None;
    }
    let axes = u16::from(is_roomy(area));
    Some(Rect { x: area.x + GUTTER, y: area.y + axes, width: area.width - GUTTER, height: area.height - 2 * axes })
}

fn is_roomy(area: Rect) -> bool {
    area.height >= 4
}

/// Paints `spec` into `area`. Too small an area gets the lines alone, or nothing.
pub fn plot(theme: &Theme, spec: &ChartSpec, area: Rect, buf: &mut Buffer) {
    let Some(body) = body(area) else { return };
    let grid = Grid::of(theme.set);
    value_axis(theme, spec, area.x, body, buf);
    bounds(theme, spec, body, buf);
    if let Some(offered) = &spec.offered {
        dashes(theme, grid, spec.value, offered, body, buf);
    }
    verticals(theme, spec.time, &spec.marks, None, body, buf);
    for series in &spec.series {
        grid.line(theme, spec.value, series, body, buf);
    }
    verticals(theme, spec.time, &[], spec.cursor.as_ref(), body, buf);
    if is_roomy(area) {
        far_bound(theme, spec, area, buf);
        labels(theme, spec.time, &spec.marks, spec.cursor.as_ref(), Rect { y: area.y, height: 1, ..body }, buf);
        time_axis(theme, spec.time, Rect { y: area.bottom() - 1, height: 1, ..body }, buf);
    }
}

/// The bound as it held at each instant.
fn bounds(theme: &Theme, spec: &ChartSpec, body: Rect, buf: &mut Buffer) {
    for (column, x) in (body.x..body.right()).enumerate() {
        let at = spec.time.instant(column, usize::from(body.width));
        let before = spec.bounds_before.iter().find(|(until, _)| at < *until);
        let bound = before.map_or(spec.bound, |(_, bound)| *bound);
        if let Some(y) = bound.and_then(|bound| row(spec.value, bound, body)) {
            put(buf, x, y, theme.symbols.bound, theme, Paint::Slo);
        }
    }
}

fn put(buf: &mut Buffer, x: u16, y: u16, symbol: &str, theme: &Theme, paint: Paint) {
    if let Some(cell) = buf.cell_mut((x, y)) {
        cell.set_symbol(symbol).set_style(theme.style(paint));
    }
}

/// The row of cells in which `value` lies; `None` above the axis.
fn row(axis: ValueAxis, value: f64, body: Rect) -> Option<u16> {
    // Four to a cell whatever the glyphs are, so that a bound does not jump with them.
    let dots = usize::from(body.height) * 4;
    (value <= axis.top && dots > 0).then(|| body.y + (dot(axis, value, dots) / 4) as u16)
}

/// The dot row of `value`, counted from above.
fn dot(axis: ValueAxis, value: f64, dots: usize) -> usize {
    let share = (value / axis.top).clamp(0.0, 1.0);
    let last = dots.saturating_sub(1);
    last - ((share * last as f64).round() as usize).min(last)
}

fn value_axis(theme: &Theme, spec: &ChartSpec, x: u16, body: Rect, buf: &mut Buffer) {
    for y in body.y..body.bottom() {
        put(buf, x + GUTTER - 1, y, "│", theme, Paint::Border);
    }
    let bound_row = spec.bound.and_then(|bound| row(spec.value, bound, body));
    let middle = (body.height >= 5).then_some(spec.value.top / 2.0);
    let ticks = [Some(0.0), middle, Some(spec.value.top)];
    for value in ticks.into_iter().flatten() {
        let Some(y) = row(spec.value, value, body).filter(|y| Some(*y) != bound_row) else { continue };
        label(buf, x, y, &spec.value.label(value), theme, Paint::Dim);
        put(buf, x + GUTTER - 1, y, theme.symbols.tick, theme, Paint::Border);
    }
    if let (Some(y), Some(bound)) = (bound_row, spec.bound) {
        label(buf, x, y, &spec.value.label(bound), theme, Paint::Slo);
        put(buf, x + GUTTER - 1, y, theme.symbols.bound, theme, Paint::Slo);
    }
}

/// A bound above the axis is still named, in the corner, with the direction in which it lies.
fn far_bound(theme: &Theme, spec: &ChartSpec, area: Rect, buf: &mut Buffer) {
    if let Some(bound) = spec.bound.filter(|bound| *bound > spec.value.top) {
        label(buf, area.x, area.y, &spec.value.label(bound), theme, Paint::Slo);
        put(buf, area.x + GUTTER - 1, area.y, theme.symbols.up, theme, Paint::Slo);
    }
}

fn label(buf: &mut Buffer, x: u16, y: u16, text: &str, theme: &Theme, paint: Paint) {
    buf.set_stringn(x, y, format!("{text:>4}"), usize::from(GUTTER - 1), theme.style(paint));
}

fn dashes(theme: &Theme, grid: Grid, axis: ValueAxis, columns: &[Option<Column>], body: Rect, buf: &mut Buffer) {
    for (x, pair) in (body.x..body.right()).zip(columns.chunks(grid.across)) {
        let Some(column) = pair.iter().flatten().last() else { continue };
        if let Some(y) = row(axis, column.last, body) {
            put(buf, x, y, theme.symbols.bound, theme, Paint::Offered);
        }
    }
}

fn column(time: TimeAxis, mark: &Mark, body: Rect) -> Option<u16> {
    time.column(mark.at, usize::from(body.width)).map(|column| body.x + column as u16)
}

fn verticals(theme: &Theme, time: TimeAxis, marks: &[Mark], cursor: Option<&Mark>, body: Rect, buf: &mut Buffer) {
    let marks = marks.iter().map(|mark| (mark, theme.symbols.mark, Paint::Mark));
    for (mark, symbol, paint) in marks.chain(cursor.map(|cursor| (cursor, theme.symbols.now, Paint::Cursor))) {
        let Some(x) = column(time, mark, body) else { continue };
        for y in body.y..body.bottom() {
            put(buf, x, y, symbol, theme, paint);
        }
    }
}

/// The label of the cursor, then those of marks, the newest first; one that would touch another is left out.
fn labels(theme: &Theme, time: TimeAxis, marks: &[Mark], cursor: Option<&Mark>, place: Rect, buf: &mut Buffer) {
    let mut taken = place.right()..place.right();
    if let Some(cursor) = cursor
        && let Some(x) = column(time, cursor, place)
    {
        let width = (unicode_width::UnicodeWidthStr::width(cursor.label.as_str()) as u16).min(place.width);
        let start = x.saturating_sub(width / 2).clamp(place.x, place.right() - width);
        buf.set_stringn(start, place.y, &cursor.label, usize::from(place.right() - start), theme.style(Paint::Cursor));
        taken = start.saturating_sub(1)..start + width + 1;
    }
    let mut free_until = place.right();
    for mark in marks.iter().rev() {
        let Some(x) = column(time, mark, place) else { continue };
        let text = format!("{}{}", theme.symbols.down, mark.label);
        let width = unicode_width::UnicodeWidthStr::width(text.as_str()) as u16;
        let (start, text) = if x + width <= free_until {
            (x, text)
        } else if x < free_until && free_until == place.right() && x + 1 >= place.x + width {
            (x + 1 - width, format!("{}{}", mark.label, theme.symbols.down))
        } else if x < free_until {
            (x, theme.symbols.down.to_owned())
        } else {
            continue;
        };
        let end = start + unicode_width::UnicodeWidthStr::width(text.as_str()) as u16;
        if start < taken.end && end > taken.start {
            continue;
        }
        buf.set_stringn(start, place.y, text, usize::from(place.right() - start), theme.style(Paint::Mark));
        free_until = start.saturating_sub(1);
    }
}

fn time_axis(theme: &Theme, time: TimeAxis, place: Rect, buf: &mut Buffer) {
    for at in time.ticks(usize::from(place.width)) {
        let text = format::clock(at);
        let Some(column) = time.column(at, usize::from(place.width)) else { continue };
        let start = column.saturating_sub(text.len() / 2);
        if start + text.len() <= usize::from(place.width) {
            buf.set_stringn(place.x + start as u16, place.y, &text, text.len(), theme.style(Paint::Dim));
        }
    }
}
