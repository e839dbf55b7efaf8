//! A buffer as text and as a map of roles.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use tui::model::Model;
use tui::theme::{Paint, Theme};
use tui::view::view;

/// A size for each tier.
pub(crate) const SIZES: [(u16, u16); 4] = [(100, 30), (80, 24), (60, 14), (30, 8)];

/// Renders at a size with a theme in which each role has a colour of its own.
pub(crate) fn render(model: &Model, width: u16, height: u16) -> Buffer {
    render_with(model, &probe(), width, height)
}

/// Renders at a size with a theme.
pub(crate) fn render_with(model: &Model, theme: &Theme, width: u16, height: u16) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    view(model, theme, area, &mut buffer);
    buffer
}

/// Each role has a colour of its own.
pub(crate) fn probe() -> Theme {
    Theme::new(|paint| Style::new().fg(Color::Indexed(paint as u8)))
}

/// The role of a cell drawn with [`probe`].
pub(crate) fn role(cell: &Cell) -> Option<Paint> {
    match cell.fg {
        Color::Indexed(index) => Paint::ALL.get(usize::from(index)).copied(),
        _ => None,
    }
}

/// The buffer's text.
pub(crate) fn text(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let row: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out
}

/// The buffer's text, then a map with a letter for the role of each cell that is not blank.
pub(crate) fn text_and_roles(buffer: &Buffer) -> String {
    let mut out = text(buffer);
    out.push_str("--- roles\n");
    for y in 0..buffer.area.height {
        let row: String = (0..buffer.area.width).map(|x| letter(&buffer[(x, y)])).collect();
        let _ = writeln!(out, "{}", row.trim_end());
    }
    out
}

/// One letter a role: `t`ext, `d`im, `b`order, t`i`tle, `h`eadline, `k`ey, disa`x`bled, `P`refill, `D`ecode, `A`ggregated,
/// work of prefill (1), decode (2) and copies (3), `g`ood, `B`ad, `w`arn, `s`lo, `o`ffered, `m`ark, me`5`0th, `9`5th, `S`elected, aler`!`, `f`ocus, `c`ursor, hea`e`t, `E` over.
fn letter(cell: &Cell) -> char {
    const LETTERS: [char; Paint::ALL.len()] = [
        't', 'd', 'b', 'i', 'h', 'k', 'x', 'P', 'D', 'A', '1', '2', '3', 'g', 'B', 'w', 's', 'o', 'm', '5', '9', 'S',
        '!', 'f', 'c', 'e', 'E',
    ];
    match role(cell) {
        _ if cell.symbol() == " " => ' ',
        Some(paint) => LETTERS[paint as usize],
        None => '?',
    }
}
