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
mod predicted;
mod quit;
mod request;
mod requests;
pub mod scrub;
mod servers;
mod shift;
mod split;
mod stages;
mod warnings;
mod whatif;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::action::Place;
use crate::model::{Model, Overlay};
use crate::symbols::{self, SymbolSet};
use crate::theme::{Paint, Theme};
use crate::tier::Tier;
use crate::widget::target::Targets;

/// Draws the whole screen into `area` of `buf`. Returns where it can be clicked.
pub fn view(model: &Model, theme: &Theme, area: Rect, buf: &mut Buffer) -> Targets {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return Targets::default();
    }
    buf.set_style(area, theme.style(Paint::Text));
    let mut targets = match Tier::of(area) {
        Tier::Lines => lines::lines(model, theme, area, buf),
        tier => dashboard::dashboard(model, theme, tier, area, buf),
    };
    targets.extend(match &model.overlay {
        Overlay::None => Targets::default(),
        Overlay::Help(from) => help::help(Place::screen(model), theme, *from, area, buf),
        Overlay::WhatIf(screen) => whatif::whatif(model, *screen, theme, area, buf),
        Overlay::Quit => quit::quit(model, theme, area, buf),
        Overlay::Shift(dialog) => shift::shift(model, *dialog, theme, area, buf),
        Overlay::Form(typed) => form::form(model, typed, theme, area, buf),
        Overlay::Requests(list) => match list.chosen().filter(|_| list.opened) {
            Some(line) => {
                let place = format!("{} of {}", list.selected + 1, list.lines().len());
                request::request(line, &place, theme, area, buf)
            }
            None => requests::requests(list, theme, area, buf),
        },
        Overlay::Palette(palette) => palette::palette(model, palette, theme, area, buf),
    });
    if theme.set == SymbolSet::Ascii {
        symbols::to_ascii(area, buf);
    }
    targets
}
