//! Draws the model. Pure: the same model, theme and area give the same cells.

mod compact;
mod dashboard;
mod events;
mod figures;
mod footer;
mod form;
mod goodput;
mod header;
mod heatmap;
pub mod help;
mod lanes;
mod latency;
pub mod layout;
mod lines;
mod palette;
mod quit;
pub mod scrub;
mod shift;
mod split;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::action::Place;
use crate::model::{Model, Overlay};
use crate::symbols::{self, SymbolSet};
use crate::theme::{Paint, Theme};
use crate::tier::Tier;

/// Draws the whole screen into `area` of `buf`.
pub fn view(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return;
    }
    buf.set_style(area, theme.style(Paint::Text));
    match Tier::of(area) {
        Tier::Lines => lines::lines(model, theme, area, buf),
        tier => dashboard::dashboard(model, theme, tier, area, buf),
    }
    match &model.overlay {
        Overlay::None => {}
        Overlay::Help(from) => help::help(Place::screen(model), theme, *from, area, buf),
        Overlay::Quit => quit::quit(model, theme, area, buf),
        Overlay::Shift(dialog) => shift::shift(model, *dialog, theme, area, buf),
        Overlay::Form(typed) => form::form(model, typed, theme, area, buf),
        Overlay::Palette(palette) => palette::palette(model, palette, theme, area, buf),
    }
    if theme.set == SymbolSet::Ascii {
        symbols::to_ascii(area, buf);
    }
}
