//! The goodput chart; without an SLO, that of completed requests.

use loadgen::live::{Slot, Snapshot};
use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::{is_waiting, span, waiting};
use crate::chart::{ChartSpec, Mark, Series, TimeAxis, Unit, ValueAxis, column};
use crate::format;
use crate::model::{Model, Panel};
use crate::theme::{Paint, Theme};
use crate::widget::{panel, plot};

/// Rates are taken over this long: single seconds of a few requests jump too much to read.
const WINDOW: Micros = Micros(10_000_000);

/// Draws good requests per second by their completion over a sliding window, with the offered rate dashed.
pub(super) fn goodput(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let shown = model.shown();
    let name = if shown.slo.is_some() { "GOODPUT" } else { "COMPLETED" };
    let title = Line::from_iter([span(theme, Paint::Title, name), span(theme, Paint::Dim, " req/s")]);
    let legend = if area.width >= 60 {
        format!(
            "by completion, {} s window  {} offered  {}",
            WINDOW.0 / 1_000_000,
            theme.symbols.bound,
            model.timeline.span_text()
        )
    } else {
        format!("{} offered  {}", theme.symbols.bound, model.timeline.span_text())
    };
    let inner = panel::panel(
        theme,
        model.focus == Panel::Goodput,
        title,
        Line::from(span(theme, Paint::Dim, legend)),
        area,
        buf,
    );
    if is_waiting(shown) {
        empty(theme, &waiting(shown), inner, buf);
        return;
    }
    let time = model.axis();
    let early = TimeAxis { from: time.from.since(WINDOW), to: time.to };
    let slots = column::visible(&shown.history, early);
    let count = plot::dot_columns(theme, inner);
    let rate = |of: &[f64]| {
        column::columns(slots, time, count, |index, slot| of.get(index).copied().filter(|_| slot.start >= time.from))
    };
    let good = column::sliding_rate(slots, WINDOW, |slot| {
        slot.good.unwrap_or(if shown.slo.is_some() { 0 } else { slot.completed })
    });
    let offered = column::sliding_rate(slots, WINDOW, |slot| slot.offered);
    let cursor = cursor(model, slots, &good, &offered);
    let (good, offered) = (rate(&good), rate(&offered));
    let highest = column::highest(&good).max(column::highest(&offered));
    let spec = ChartSpec {
        time,
        value: ValueAxis::covering(highest, None, Unit::Rate),
        bound: None,
        bounds_before: Vec::new(),
        offered: Some(offered),
        series: vec![Series { paint: Paint::Good, columns: good }],
        marks: marks(shown),
        cursor,
    };
    plot::plot(theme, &spec, inner, buf);
}

/// The cursor with what the lines are there.
fn cursor(model: &Model, slots: &[Slot], good: &[f64], offered: &[f64]) -> Option<Mark> {
    let at = model.timeline.cursor()?;
    let index = slots.partition_point(|slot| slot.start <= at).checked_sub(1)?;
    let label = format!("{} of {}", format::number(*good.get(index)?), format::number(*offered.get(index)?));
    Some(Mark { at, label })
}

/// The events that stand in the charts.
pub(super) fn marks(shown: &Snapshot) -> Vec<Mark> {
    let marked = shown.events.iter().filter(|event| event.mark.is_some());
    marked.map(|event| Mark { at: event.at, label: event.label.clone() }).collect()
}

/// A sentence in the middle of a chart that has nothing to show.
pub(super) fn empty(theme: &Theme, text: &str, area: Rect, buf: &mut Buffer) {
    let line = Line::from(span(theme, Paint::Dim, text)).centered();
    if let Some(row) = area.rows().nth(usize::from(area.height / 2)) {
        ratatui::widgets::Widget::render(line, row, buf);
    }
}
