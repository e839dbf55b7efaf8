//! The TTFT and TPOT charts.

use loadgen::live::{Percentiles, Slot, Snapshot, server_itl, server_ttft};
use loadgen::measure::SlotHistogram;
use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

use super::figures::{is_waiting, percentiles, span};
use super::goodput::{empty, marks};
use super::heatmap::heatmap;
use super::servers;
use crate::chart::{ChartSpec, Mark, Series, Unit, ValueAxis, column};
use crate::format;
use crate::model::{Model, Panel};
use crate::theme::{Paint, Theme};
use crate::widget::{panel, plot};

/// Which latency a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Metric {
    /// Time to first token.
    Ttft,
    /// Time per output token.
    Tpot,
}

impl Metric {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT",
            Self::Tpot => "TPOT",
        }
    }

    /// Its bound.
    pub(super) fn bound(self, shown: &Snapshot) -> Option<Micros> {
        shown.slo.and_then(|slo| match self {
            Self::Ttft => slo.ttft,
            Self::Tpot => slo.tpot,
        })
    }

    /// Over the last few seconds.
    pub(super) fn recent(self, shown: &Snapshot) -> Percentiles {
        match self {
            Self::Ttft => shown.recent.ttft,
            Self::Tpot => shown.recent.tpot,
        }
    }

    /// Its mean over the last few seconds, as servers have it.
    pub(super) fn of_servers(self, shown: &Snapshot) -> Option<Micros> {
        match self {
            Self::Ttft => server_ttft(&shown.servers, shown.now),
            Self::Tpot => server_itl(&shown.servers, shown.now),
        }
    }

    /// The panel that shows it.
    pub(super) fn panel(self) -> Panel {
        match self {
            Self::Ttft => Panel::Ttft,
            Self::Tpot => Panel::Tpot,
        }
    }

    /// Every value of a slot.
    pub(super) fn values(self, slot: &Slot) -> &SlotHistogram {
        match self {
            Self::Ttft => &slot.ttft_values,
            Self::Tpot => &slot.tpot_values,
        }
    }

    /// What the lines show of a slot: the percentiles over the window that ends with it, as remembered from then, so that
    /// single seconds of a few requests do not jump. A slot longer than the window has enough of its own.
    fn of(self, slot: &Slot) -> Percentiles {
        let then = slot.then.as_ref().filter(|then| slot.length < then.recent.window);
        match (self, then) {
            (_, Some(then)) => self.recent(then),
            (Self::Ttft, None) => slot.ttft,
            (Self::Tpot, None) => slot.tpot,
        }
    }
}

/// From this width on, a panel has room for all of its figures.
const WIDE: u16 = 46;
/// The same with what servers say.
const WIDEST: u16 = 60;
/// From this height on, a zoomed panel shows the lines and the heatmap.
const BOTH: u16 = 18;

/// Draws the panel of a latency: its percentiles as lines, every request as a heatmap, or both where there is room.
pub(super) fn latency(model: &Model, theme: &Theme, metric: Metric, area: Rect, buf: &mut Buffer) {
    if model.look.zoomed && area.height >= BOTH {
        let [upper, lower] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
        lines(model, theme, metric, upper, buf);
        heatmap(model, theme, metric, lower, buf);
    } else if model.look.heat {
        heatmap(model, theme, metric, area, buf);
    } else {
        lines(model, theme, metric, area, buf);
    }
}

/// Draws the median and the 95th percentile over time, with the bound of the SLO.
fn lines(model: &Model, theme: &Theme, metric: Metric, area: Rect, buf: &mut Buffer) {
    let shown = model.shown();
    let here = model.here();
    // Beside what servers say there is room for two, where there would be for three.
    let two = area.width < if metric.of_servers(here).is_some() { WIDEST } else { WIDE };
    let which: &[_] = if two { &["p50", "p95"] } else { &["p50", "p95", "p99"] };
    let mut title = Line::from_iter([span(theme, Paint::Title, metric.name()), span(theme, Paint::Dim, " ms")]);
    let told = metric.of_servers(here).filter(|_| area.width >= WIDE);
    title.extend(servers::mean(theme, told));
    let figures = Line::from(percentiles(theme, metric.recent(here), metric.bound(here), which));
    let inner = panel::panel(theme, model.focus == metric.panel(), title, figures, area, buf);
    if is_waiting(shown) {
        empty(theme, "no answer yet", inner, buf);
        return;
    }
    let time = model.axis();
    let slots = column::visible(&shown.history, time);
    let count = plot::dot_columns(theme, inner);
    let line = |paint, pick: fn(Percentiles) -> Option<Micros>| Series {
        paint,
        columns: column::columns(slots, time, count, |_, slot| pick(metric.of(slot)).map(Micros::as_millis_f64)),
    };
    let series = vec![line(Paint::Median, |p| p.p50), line(Paint::Tail, |p| p.p95)];
    // What servers say of it is a line under those of the client, where there is room to name it.
    let named = area.width >= WIDE;
    let told = column::columns(slots, time, count, |_, slot| {
        slot.then.as_deref().filter(|_| named).and_then(|then| metric.of_servers(then)).map(Micros::as_millis_f64)
    });
    let lines = series.iter().map(|s| s.columns.as_slice()).chain([told.as_slice()]);
    let highest = lines.map(column::highest).fold(0.0, f64::max);
    let offered = told.iter().any(Option::is_some).then_some(told);
    let bound = metric.bound(shown).map(Micros::as_millis_f64);
    let value = ValueAxis::covering(highest, bound, Unit::Millis);
    let cursor = cursor(model, metric);
    let bounds_before = bounds_before(slots, metric, metric.bound(shown));
    let spec = ChartSpec { time, value, bound, bounds_before, offered, series, marks: marks(shown), cursor };
    plot::plot(theme, &spec, inner, buf);
}

/// What the bound was before it was changed, as the slots remember it.
fn bounds_before(slots: &[Slot], metric: Metric, now: Option<Micros>) -> Vec<(Micros, Option<f64>)> {
    let mut before: Vec<(Micros, Option<Micros>)> = Vec::new();
    for (slot, then) in slots.iter().filter_map(|slot| Some((slot, slot.then.as_deref()?))) {
        let (end, bound) = (slot.start + slot.length, metric.bound(then));
        match before.last_mut() {
            Some((until, same)) if *same == bound => *until = end,
            _ => before.push((end, bound)),
        }
    }
    before.pop_if(|(_, bound)| *bound == now);
    before.into_iter().map(|(until, bound)| (until, bound.map(Micros::as_millis_f64))).collect()
}

/// The cursor with what the lines are there.
pub(super) fn cursor(model: &Model, metric: Metric) -> Option<Mark> {
    let at = model.timeline.cursor()?;
    let slot = column::at(&model.shown().history, at)?;
    let figure = |value: Option<Micros>| value.map_or_else(|| "?".to_owned(), format::millis);
    let of = metric.of(slot);
    let label = match of.p95 {
        Some(_) => format!("p50 {} p95 {}", figure(of.p50), figure(of.p95)),
        None => "nothing completed".to_owned(),
    };
    Some(Mark { at, label })
}
