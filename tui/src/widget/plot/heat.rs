//! Paints a heatmap: the bands' lower edges on the left, the fuller a cell the denser its glyph.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{body, is_roomy, label, labels, put, time_axis, verticals};
use crate::chart::{HeatSpec, Unit, ValueAxis};
use crate::theme::{Paint, Theme};

/// Paints what `spec` makes of so many columns and bands. Too small an area gets nothing.
pub fn heat(theme: &Theme, spec: impl FnOnce((usize, usize)) -> HeatSpec, area: Rect, buf: &mut Buffer) {
    let Some(body) = body(area) else { return };
    let spec = spec((usize::from(body.width), usize::from(body.height)));
    let top = spec.bands.last().map_or(0.0, |edge| edge.as_millis_f64());
    let axis = ValueAxis { top, unit: Unit::Millis };
    for (band, (edge, y)) in spec.bands.iter().zip((body.y..body.bottom()).rev()).enumerate() {
        let over = spec.bound.is_some_and(|bound| band >= bound);
        let (paint, tick) = match spec.bound {
            Some(bound) if bound == band => (Paint::Slo, theme.symbols.bound),
            _ => (Paint::Dim, "│"),
        };
        label(buf, area.x, y, &axis.label(edge.as_millis_f64()), theme, paint);
        put(buf, body.x - 1, y, tick, theme, if paint == Paint::Slo { paint } else { Paint::Border });
        for (column, x) in (body.x..body.right()).enumerate() {
            if let Some(glyph) = spec.level(column, band).and_then(|level| theme.symbols.heat.get(level)) {
                put(buf, x, y, glyph, theme, if over { Paint::HeatOver } else { Paint::Heat });
            }
        }
    }
    verticals(theme, spec.time, &spec.marks, spec.cursor.as_ref(), body, buf);
    if is_roomy(area) {
        labels(theme, spec.time, &spec.marks, spec.cursor.as_ref(), Rect { y: area.y, height: 1, ..body }, buf);
        time_axis(theme, spec.time, Rect { y: area.bottom() - 1, height: 1, ..body }, buf);
    }
}
