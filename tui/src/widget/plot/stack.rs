//! Paints stages stacked over time: one stack of letters a column.

use loadgen::measure::StageTimes;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{body, bounds, far_bound, is_roomy, labels, put, time_axis, value_axis, verticals};
use crate::chart::ChartSpec;
use crate::theme::Theme;
use crate::widget::stages;

/// Paints the axes of `spec` and `columns` of cells between them. Too small an area gets nothing.
pub fn stack(theme: &Theme, spec: &ChartSpec, columns: &[Option<StageTimes>], area: Rect, buf: &mut Buffer) {
    let Some(body) = body(area) else { return };
    value_axis(theme, spec, area.x, body, buf);
    bounds(theme, spec, body, buf);
    verticals(theme, spec.time, &spec.marks, None, body, buf);
    for (x, times) in (body.x..body.right()).zip(columns) {
        let Some(times) = times else { continue };
        let share = times.total().as_millis_f64() / spec.value.top;
        let height = (share.clamp(0.0, 1.0) * f64::from(body.height)).round() as usize;
        let rows = (body.y..body.bottom()).rev();
        for (y, stage) in rows.zip(stages::cells(times, height.max(1))) {
            put(buf, x, y, stages::letter(stage), theme, stages::paint(stage));
        }
    }
    verticals(theme, spec.time, &[], spec.cursor.as_ref(), body, buf);
    if is_roomy(area) {
        far_bound(theme, spec, area, buf);
        labels(theme, spec.time, &spec.marks, spec.cursor.as_ref(), Rect { y: area.y, height: 1, ..body }, buf);
        time_axis(theme, spec.time, Rect { y: area.bottom() - 1, height: 1, ..body }, buf);
    }
}
