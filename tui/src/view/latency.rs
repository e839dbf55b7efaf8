//! The TTFT and TPOT charts.

use loadgen::live::{Percentiles, Slot, Snapshot};
use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::{is_waiting, percentiles, span};
use super::goodput::{empty, marks};
use crate::chart::{ChartSpec, Series, TimeAxis, Unit, ValueAxis, column};
use crate::model::Model;
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

    fn of(self, slot: &Slot) -> Percentiles {
        match self {
            Self::Ttft => slot.ttft,
            Self::Tpot => slot.tpot,
        }
    }
}

/// Draws the median and the 95th percentile of each second over time, with the bound of the SLO.
pub(super) fn latency(model: &Model, theme: &Theme, metric: Metric, area: Rect, buf: &mut Buffer) {
    let shown = model.shown();
    let bound = metric.bound(shown);
    let which: &[_] = if area.width >= 46 { &["p50", "p95", "p99"] } else { &["p50", "p95"] };
    let title = Line::from_iter([span(theme, Paint::Title, metric.name()), span(theme, Paint::Dim, " ms")]);
    let figures = Line::from(percentiles(theme, metric.recent(shown), bound, which));
    let inner = panel::panel(theme, title, figures, area, buf);
    if is_waiting(shown) {
        empty(theme, "no answer yet", inner, buf);
        return;
    }
    let time = TimeAxis::ending(shown.now, model.span.length());
    let slots = column::visible(&shown.history, time);
    let count = plot::dot_columns(inner);
    let line = |paint, pick: fn(Percentiles) -> Option<Micros>| Series {
        paint,
        columns: column::columns(slots, time, count, |_, slot| pick(metric.of(slot)).map(Micros::as_millis_f64)),
    };
    let series = vec![line(Paint::Median, |p| p.p50), line(Paint::Tail, |p| p.p95)];
    let highest = series.iter().map(|s| column::highest(&s.columns)).fold(0.0, f64::max);
    let bound = bound.map(Micros::as_millis_f64);
    let value = ValueAxis::covering(highest, bound, Unit::Millis);
    let spec = ChartSpec { time, value, bound, offered: None, series, marks: marks(shown) };
    plot::plot(theme, &spec, inner, buf);
}
