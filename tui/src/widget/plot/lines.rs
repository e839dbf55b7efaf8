//! Lines out of the glyphs a terminal has: braille dots, half blocks, or letters.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::dot;
use crate::chart::{Series, ValueAxis};
use crate::symbols::SymbolSet;
use crate::theme::{Paint, Theme};

/// Bits of a braille cell, by row and column of the dot (Unicode, block U+2800).
const BRAILLE: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
/// The glyph of a cell of two halves, by the bits of the upper (1) and the lower (2) one.
const HALVES: [char; 4] = [' ', '▀', '▄', '█'];

/// How a cell is divided into dots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    set: SymbolSet,
    pub(super) across: usize,
    down: usize,
}

impl Grid {
    pub(super) fn of(set: SymbolSet) -> Self {
        let (across, down) = match set {
            SymbolSet::Braille => (2, 4),
            SymbolSet::Block => (1, 2),
            SymbolSet::Ascii => (1, 1),
        };
        Self { set, across, down }
    }

    fn bit(self, x: usize, y: usize) -> u8 {
        match self.set {
            SymbolSet::Braille => BRAILLE[y % 4][x % 2],
            SymbolSet::Block => 1 << (y % 2),
            SymbolSet::Ascii => 1,
        }
    }

    /// The bits that a cell shows already.
    fn under(self, symbol: &str) -> u8 {
        let glyph = symbol.chars().next().unwrap_or(' ');
        match self.set {
            SymbolSet::Braille if ('\u{2800}'..='\u{28FF}').contains(&glyph) => (u32::from(glyph) - 0x2800) as u8,
            SymbolSet::Block => HALVES.iter().position(|half| *half == glyph).unwrap_or(0) as u8,
            _ => 0,
        }
    }

    fn glyph(self, bits: u8, paint: Paint) -> char {
        match self.set {
            SymbolSet::Braille => char::from_u32(0x2800 | u32::from(bits)).unwrap_or(' '),
            SymbolSet::Block => HALVES.get(usize::from(bits)).copied().unwrap_or(' '),
            // The only set in which lines differ by their glyph.
            SymbolSet::Ascii if paint == Paint::Median => '.',
            SymbolSet::Ascii => '*',
        }
    }

    /// Draws a line. Lines that meet in a cell share it; the later one gives the colour.
    pub(super) fn line(self, theme: &Theme, axis: ValueAxis, series: &Series, body: Rect, buf: &mut Buffer) {
        let (width, height) = (usize::from(body.width), usize::from(body.height));
        let rows = height * self.down;
        let mut cells = vec![0u8; width * height];
        let mut stroke = |x: usize, from: usize, to: usize| {
            for y in from.min(to)..=from.max(to) {
                if let Some(cell) = cells.get_mut(y / self.down * width + x / self.across) {
                    *cell |= self.bit(x, y);
                }
            }
        };
        let mut before: Option<usize> = None;
        for (x, column) in series.columns.iter().take(width * self.across).enumerate() {
            let Some(column) = column else {
                before = None;
                continue;
            };
            let at = |value| dot(axis, value, rows);
            stroke(x, at(column.low), at(column.high));
            if let Some(before) = before {
                let first = at(column.first);
                let middle = usize::midpoint(before, first);
                stroke(x - 1, before, middle);
                stroke(x, middle, first);
            }
            before = Some(at(column.last));
        }
        for (index, bits) in cells.into_iter().enumerate().filter(|(_, bits)| *bits != 0) {
            let (x, y) = (body.x + (index % width) as u16, body.y + (index / width) as u16);
            let Some(cell) = buf.cell_mut((x, y)) else { continue };
            let bits = bits | self.under(cell.symbol());
            cell.set_char(self.glyph(bits, series.paint)).set_style(theme.style(series.paint));
        }
    }
}
