//! The last line: the keys of this place, or a message.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::figures::span;
use crate::action::{self, Binding};
use crate::model::Model;
use crate::theme::{Paint, Theme};
use crate::widget::fit::{self, Segment};
use crate::widget::target::{Parts, Targets};

/// Draws the message if there is one, else the keys; those that cannot be pressed now are dim. A click does what the key does.
pub(super) fn footer(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    if let Some(notice) = &model.notice {
        return fit::draw(vec![Segment::new(0, [span(theme, Paint::Warn, notice.text.clone())])], None, area, buf);
    }
    let keys = action::footer(model).into_iter().enumerate().map(|(index, row)| {
        let enabled = action::refusal(model, row.action).is_none();
        let rank = match row.action {
            action::Action::Quit | action::Action::Help | action::Action::Back | action::Action::Live => 0,
            _ => index as u8 + 1,
        };
        Segment::clickable(rank, hint(row, enabled, theme))
    });
    fit::draw(keys.collect(), None, area, buf)
}

/// `+-:rate`: each key does what it does, the word what the row is about.
fn hint(row: &Binding, enabled: bool, theme: &Theme) -> Parts {
    let (key, word) = if enabled { (Paint::Key, Paint::Dim) } else { (Paint::Disabled, Paint::Disabled) };
    let word = span(theme, word, format!(":{}", row.hint));
    let Some(((first, last), letter)) = row.pair.zip(row.keys.chars().next_back()) else {
        return Parts::default().button([span(theme, key, row.keys), word], row.action);
    };
    let before = row.keys.strip_suffix(letter).unwrap_or_default();
    Parts::default()
        .button([span(theme, key, before)], first)
        .button([span(theme, key, letter.to_string())], last)
        .button([word], row.action)
}
