//! Paints a chart: value axis on the left, time axis below, a row for the labels of marks above, lines in braille dots.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::chart::{ChartSpec, Column, Mark, Series, ValueAxis};
use crate::format;
use crate::theme::{Paint, Theme};

/// Columns of the value axis: four for the label, one for the tick.
const GUTTER: u16 = 5;
const DOTS_ACROSS: usize = 2;
const DOTS_DOWN: usize = 4;
/// Bits of a braille cell, by row and column of the dot (Unicode, block U+2800).
const BRAILLE: [[u8; DOTS_ACROSS]; DOTS_DOWN] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// How many columns of dots a chart in `area` has.
pub fn dot_columns(area: Rect) -> usize {
    usize::from(area.width.saturating_sub(GUTTER)) * DOTS_ACROSS
}

/// Paints `spec` into `area`. Too small an area gets the lines alone, or nothing.
pub fn plot(theme: &Theme, spec: &ChartSpec, area: Rect, buf: &mut Buffer) {
    if area.width <= GUTTER || area.height == 0 {
        return;
    }
    let roomy = area.height >= 4;
    let body = Rect {
        x: area.x + GUTTER,
        y: area.y + u16::from(roomy),
        width: area.width - GUTTER,
        height: area.height - 2 * u16::from(roomy),
    };
    value_axis(theme, spec, area.x, body, buf);
    if let Some(bound) = spec.bound
        && let Some(y) = row(spec.value, bound, body)
    {
        for x in body.x..body.right() {
            put(buf, x, y, theme.symbols.bound, theme, Paint::Slo);
        }
    }
    if let Some(offered) = &spec.offered {
        dashes(theme, spec.value, offered, body, buf);
    }
    marks(theme, spec, body, buf);
    for series in &spec.series {
        dots(theme, spec.value, series, body, buf);
    }
    if roomy {
        far_bound(theme, spec, area, buf);
        mark_labels(theme, spec, Rect { y: area.y, height: 1, ..body }, buf);
        time_axis(theme, spec, Rect { y: area.bottom() - 1, height: 1, ..body }, buf);
    }
}

fn put(buf: &mut Buffer, x: u16, y: u16, symbol: &str, theme: &Theme, paint: Paint) {
    if let Some(cell) = buf.cell_mut((x, y)) {
        cell.set_symbol(symbol).set_style(theme.style(paint));
    }
}

/// The row of cells in which `value` lies; `None` above the axis.
fn row(axis: ValueAxis, value: f64, body: Rect) -> Option<u16> {
    let dots = usize::from(body.height) * DOTS_DOWN;
    (value <= axis.top && dots > 0).then(|| body.y + (dot(axis, value, dots) / DOTS_DOWN) as u16)
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

fn dashes(theme: &Theme, axis: ValueAxis, columns: &[Option<Column>], body: Rect, buf: &mut Buffer) {
    for (x, pair) in (body.x..body.right()).zip(columns.chunks(DOTS_ACROSS)) {
        let Some(column) = pair.iter().flatten().last() else { continue };
        if let Some(y) = row(axis, column.last, body) {
            put(buf, x, y, theme.symbols.bound, theme, Paint::Offered);
        }
    }
}

fn mark_column(spec: &ChartSpec, mark: &Mark, body: Rect) -> Option<u16> {
    spec.time.column(mark.at, usize::from(body.width)).map(|column| body.x + column as u16)
}

fn marks(theme: &Theme, spec: &ChartSpec, body: Rect, buf: &mut Buffer) {
    for x in spec.marks.iter().filter_map(|mark| mark_column(spec, mark, body)) {
        for y in body.y..body.bottom() {
            put(buf, x, y, theme.symbols.mark, theme, Paint::Mark);
        }
    }
}

/// The newest labels win; one that would touch another is left out.
fn mark_labels(theme: &Theme, spec: &ChartSpec, place: Rect, buf: &mut Buffer) {
    let mut free_until = place.right();
    for mark in spec.marks.iter().rev() {
        let Some(x) = mark_column(spec, mark, place) else { continue };
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
        buf.set_stringn(start, place.y, text, usize::from(place.right() - start), theme.style(Paint::Mark));
        free_until = start.saturating_sub(1);
    }
}

fn time_axis(theme: &Theme, spec: &ChartSpec, place: Rect, buf: &mut Buffer) {
    for at in spec.time.ticks(usize::from(place.width)) {
        let text = format::clock(at);
        let Some(column) = spec.time.column(at, usize::from(place.width)) else { continue };
        let start = column.saturating_sub(text.len() / 2);
        if start + text.len() <= usize::from(place.width) {
            buf.set_stringn(place.x + start as u16, place.y, &text, text.len(), theme.style(Paint::Dim));
        }
    }
}

/// Lines that meet in a cell share it; the later one gives the colour.
fn dots(theme: &Theme, axis: ValueAxis, series: &Series, body: Rect, buf: &mut Buffer) {
    let (width, height) = (usize::from(body.width), usize::from(body.height));
    let rows = height * DOTS_DOWN;
    let mut cells = vec![0u8; width * height];
    let mut stroke = |x: usize, from: usize, to: usize| {
        for y in from.min(to)..=from.max(to) {
            if let Some(cell) = cells.get_mut(y / DOTS_DOWN * width + x / DOTS_ACROSS) {
                *cell |= BRAILLE[y % DOTS_DOWN][x % DOTS_ACROSS];
            }
        }
    };
    let mut before: Option<usize> = None;
    for (x, column) in series.columns.iter().take(width * DOTS_ACROSS).enumerate() {
        let Some(column) = column else {
            before = None;
            continue;
        };
        let at = |value| dot(axis, value, rows);
        stroke(x, at(column.low), at(column.high));
        if let Some(before) = before {
            let first = at(column.first);
            let middle = usize::midpoint(before, first);
            stroke(x - 1, before, middle);
            stroke(x, middle, first);
        }
        before = Some(at(column.last));
    }
    for (index, bits) in cells.into_iter().enumerate().filter(|(_, bits)| *bits != 0) {
        let (x, y) = (body.x + (index % width) as u16, body.y + (index / width) as u16);
        let Some(cell) = buf.cell_mut((x, y)) else { continue };
        let under = cell.symbol().chars().next().map_or(0, u32::from);
        let under = if (0x2800..0x2900).contains(&under) { under } else { 0x2800 };
        if let Some(glyph) = char::from_u32(under | u32::from(bits)) {
            cell.set_char(glyph).set_style(theme.style(series.paint));
        }
    }
}
