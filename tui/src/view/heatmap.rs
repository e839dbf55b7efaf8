//! TTFT and TPOT of every request as a heatmap.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::figures::{is_waiting, percentiles, span};
use super::goodput::{empty, marks};
use super::latency::{Metric, cursor};
use crate::chart::{HeatSpec, column};
use crate::model::Model;
use crate::theme::{Paint, Theme};
use crate::widget::{panel, plot};

/// Draws how many requests fell into which band of the latency, over time. What missed the bound of the SLO lies in the band
/// that starts at the bound, or above.
pub(super) fn heatmap(model: &Model, theme: &Theme, metric: Metric, area: Rect, buf: &mut Buffer) {
    let shown = model.shown();
    let mut title = vec![span(theme, Paint::Title, metric.name()), span(theme, Paint::Dim, " ms by requests")];
    if area.width >= 70 {
        let few_to_many = theme.symbols.heat.join(" ");
        title.push(span(theme, Paint::Dim, format!("  few {few_to_many} many")));
    }
    let bound = metric.bound(model.here());
    let which: &[_] = if area.width >= 60 { &["p50", "p95", "p99"] } else { &["p95"] };
    let figures = Line::from(percentiles(theme, metric.recent(model.here()), bound, which));
    let inner = panel::panel(theme, model.focus == metric.panel(), Line::from(title), figures, area, buf);
    if is_waiting(shown) {
        empty(theme, "no answer yet", inner, buf);
        return;
    }
    let time = model.axis();
    let slots = column::visible(&shown.history, time);
    let spec = |size| HeatSpec {
        marks: marks(shown),
        cursor: cursor(model, metric),
        ..HeatSpec::new(slots, time, size, metric.bound(shown), |slot| metric.values(slot))
    };
    plot::heat(theme, spec, inner, buf);
}
