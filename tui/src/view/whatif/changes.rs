//! The best split under more, longer or shorter requests.

use loadgen::whatif::{Aspect, CHANGES, Change, WhatIf};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::super::figures::span;
use crate::format;
use crate::theme::{Paint, Theme};
use crate::widget::panel;

/// Good requests per second below which no split is worth a name.
const NOTHING: f64 = 0.005;

/// Draws it.
pub(super) fn panel(of: &WhatIf, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let title = Line::from(span(theme, Paint::Title, "IF TRAFFIC CHANGES"));
    let right = Line::from(span(theme, Paint::Dim, "= others as good"));
    let inner = panel::panel(theme, false, title, right, area, buf);
    let mut lines = Vec::new();
    for (aspect, _) in CHANGES {
        let changes: Vec<&Change> = of.changes.iter().filter(|change| change.aspect == aspect).collect();
        let row = |label: &str, paint, cell: &dyn Fn(&Change) -> String| {
            let mut line = Line::from(span(theme, Paint::Dim, format!(" {label:<8}")));
            for change in &changes {
                let is_now = (change.factor - 1.0).abs() < f64::EPSILON;
                let paint = if is_now { Paint::Headline } else { paint };
                line.push_span(span(theme, paint, format!("{:>7}", cell(change))));
            }
            line
        };
        lines.push(row(name(aspect), Paint::Dim, &|change| format!("{}x", change.factor)));
        lines.push(row("best", Paint::Text, &|change| match change {
            Change { goodput_rps, .. } if *goodput_rps < NOTHING => "none".to_owned(),
            Change { best, is_tie: true, .. } => format!("{best}="),
            Change { best, .. } => best.to_string(),
        }));
        if aspect == Aspect::Rate {
            lines.push(row("goodput", Paint::Text, &|change| format::number(change.goodput_rps)));
        }
    }
    for (row, line) in inner.rows().zip(lines) {
        buf.set_line(row.x, row.y, &line, row.width);
    }
}

fn name(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Rate => "rate",
        Aspect::Prompt => "prompt",
        Aspect::Answer => "answer",
    }
}
