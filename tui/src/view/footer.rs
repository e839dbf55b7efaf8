//! The last line: the keys of this place, or a message.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::figures::span;
use crate::action;
use crate::model::Model;
use crate::theme::{Paint, Theme};
use crate::widget::fit::{self, Segment};

/// Draws the message if there is one, else the keys; those that cannot be pressed now are dim.
pub(super) fn footer(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    if let Some(notice) = &model.notice {
        fit::draw(vec![Segment::new(0, [span(theme, Paint::Warn, notice.text.clone())])], None, area, buf);
        return;
    }
    let keys = action::footer(model).into_iter().enumerate().map(|(index, row)| {
        let enabled = action::refusal(model, row.action).is_none();
        let key = if enabled { Paint::Key } else { Paint::Disabled };
        let hint = if enabled { Paint::Dim } else { Paint::Disabled };
        let rank = match row.action {
            action::Action::Quit | action::Action::Help | action::Action::Back | action::Action::Live => 0,
            _ => index as u8 + 1,
        };
        Segment::new(rank, [span(theme, key, row.keys), span(theme, hint, format!(":{}", row.hint))])
    });
    fit::draw(keys.collect(), None, area, buf);
}
