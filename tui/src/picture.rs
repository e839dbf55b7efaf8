//! A screen as an SVG picture: the same buffer gives the same bytes.
//!
//! Cells are a grid of fixed size. Each run of cells of one style is one `<text>`, stretched to the columns it takes, so that
//! the grid holds whatever font the viewer has; backgrounds are rectangles below. Frames and bars are text as well. The dots of
//! braille, which few fonts have, are drawn.

use std::fmt::Write as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// The size of a cell in pixels, at a font size of 14.
const CELL: (f64, f64) = (8.4, 16.0);
/// The base line of a row, from its top.
const BASE: f64 = 13.0;
/// Around the screen.
const MARGIN: f64 = 10.0;

/// The colours of whatever has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paper {
    /// Text.
    pub ink: u32,
    /// Background.
    pub ground: u32,
}

impl Paper {
    /// Light on dark.
    pub const DARK: Self = Self { ink: 0x00D8_DEE4, ground: 0x000D_1117 };
    /// Dark on light.
    pub const LIGHT: Self = Self { ink: 0x001F_2328, ground: 0x00FF_FFFF };
    /// White on black.
    pub const BLACK: Self = Self { ink: 0x00FF_FFFF, ground: 0x0000_0000 };
}

/// What of a cell decides how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    ink: u32,
    ground: u32,
    bold: bool,
    dim: bool,
    struck: bool,
}

impl Look {
    fn of(cell: &Cell, paper: Paper) -> Self {
        let has = |modifier| cell.modifier.contains(modifier);
        let (ink, ground) = (rgb(cell.fg, paper.ink), rgb(cell.bg, paper.ground));
        let (ink, ground) = if has(Modifier::REVERSED) { (ground, ink) } else { (ink, ground) };
        Self { ink, ground, bold: has(Modifier::BOLD), dim: has(Modifier::DIM), struck: has(Modifier::CROSSED_OUT) }
    }
}

/// A colour as 24 bits; those of ANSI as most terminals show them.
fn rgb(color: Color, default: u32) -> u32 {
    match color {
        Color::Rgb(r, g, b) => u32::from_be_bytes([0, r, g, b]),
        Color::Black => 0x0000_0000,
        Color::Red => 0x00CD_3131,
        Color::Green => 0x000D_BC79,
        Color::Yellow => 0x00E5_E510,
        Color::Blue => 0x0024_72C8,
        Color::Magenta => 0x00BC_3FBC,
        Color::Cyan => 0x0011_A8CD,
        Color::Gray => 0x00CC_CCCC,
        Color::DarkGray => 0x0076_7676,
        Color::LightRed => 0x00F1_4C4C,
        Color::LightGreen => 0x0023_D18B,
        Color::LightYellow => 0x00F5_F543,
        Color::LightBlue => 0x003B_8EEA,
        Color::LightMagenta => 0x00D6_70D6,
        Color::LightCyan => 0x0029_B8DB,
        Color::White => 0x00FF_FFFF,
        Color::Reset | Color::Indexed(_) => default,
    }
}

/// What a run is made of. The kinds are apart, because a viewer whose font lacks a glyph takes another font for the whole text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glyphs {
    Letters,
    Braille,
    Others,
}

impl Glyphs {
    fn of(symbol: &str) -> Self {
        match symbol.chars().next() {
            Some(BRAILLE..=LAST_BRAILLE) => Self::Braille,
            _ if symbol.is_ascii() => Self::Letters,
            _ => Self::Others,
        }
    }
}

/// The first glyph of braille, without a dot; the bits above it are dots.
const BRAILLE: char = '\u{2800}';
const LAST_BRAILLE: char = '\u{28ff}';
/// Column and row of the dot of each bit.
const DOTS: [(u8, u8); 8] = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
/// The side of a dot in pixels.
const DOT: f64 = 2.0;

/// A stretch of a row in one style.
struct Run {
    glyphs: Glyphs,
    column: u16,
    columns: u16,
    look: Look,
    text: String,
}

fn runs(buffer: &Buffer, y: u16, paper: Paper) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for x in buffer.area.x..buffer.area.right() {
        let Some(cell) = buffer.cell((x, y)) else { continue };
        let look = Look::of(cell, paper);
        let glyphs = Glyphs::of(cell.symbol());
        match runs.last_mut() {
            Some(run) if run.look == look && (run.glyphs == glyphs || cell.symbol() == " ") => {
                run.columns += 1;
                run.text.push_str(cell.symbol());
            }
            _ => {
                let text = cell.symbol().to_owned();
                runs.push(Run { glyphs, column: x - buffer.area.x, columns: 1, look, text });
            }
        }
    }
    runs
}

/// The picture of `buffer`; `title` is what a reader who cannot see it is told.
pub fn svg(buffer: &Buffer, paper: Paper, title: &str) -> String {
    let (width, height) = (f64::from(buffer.area.width) * CELL.0, f64::from(buffer.area.height) * CELL.1);
    let (outer_width, outer_height) = (width + 2.0 * MARGIN, height + 2.0 * MARGIN);
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{outer_width:.0}\" height=\"{outer_height:.0}\" \
         viewBox=\"0 0 {outer_width:.1} {outer_height:.1}\" role=\"img\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#{:06x}\"/>\n\
         <g font-family=\"DejaVu Sans Mono,Menlo,Consolas,monospace\" font-size=\"14\" xml:space=\"preserve\">",
        escaped(title),
        paper.ground
    );
    for y in 0..buffer.area.height {
        let top = MARGIN + f64::from(y) * CELL.1;
        for run in runs(buffer, buffer.area.y + y, paper) {
            let left = MARGIN + f64::from(run.column) * CELL.0;
            let width = f64::from(run.columns) * CELL.0;
            if run.look.ground != paper.ground {
                let (high, ground) = (CELL.1, run.look.ground);
                let _ = writeln!(
                    out,
                    "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{high:.1}\" fill=\"#{ground:06x}\"/>"
                );
            }
            if run.glyphs == Glyphs::Braille {
                dots(&mut out, &run, left, top);
            } else {
                text(&mut out, &run, left, top + BASE);
            }
        }
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// The dots of a run of braille: one path of squares, each from its upper left corner.
fn dots(out: &mut String, run: &Run, left: f64, top: f64) {
    let mut path = String::new();
    for (cell, glyph) in run.text.chars().enumerate() {
        let bits = u32::from(glyph).wrapping_sub(u32::from(BRAILLE));
        let lit = DOTS.into_iter().enumerate().filter(|(bit, _)| glyph >= BRAILLE && bits >> bit & 1 == 1);
        for (_, (column, row)) in lit {
            let x = left + (cell as f64 + f64::from(column) / 2.0) * CELL.0 + (CELL.0 / 2.0 - DOT) / 2.0;
            let y = top + f64::from(row) * CELL.1 / 4.0 + (CELL.1 / 4.0 - DOT) / 2.0;
            let _ = write!(path, "M{x:.1} {y:.1}h2v2h-2z");
        }
    }
    if !path.is_empty() {
        let Look { ink, dim, .. } = run.look;
        let dim = if dim { " opacity=\"0.6\"" } else { "" };
        let _ = writeln!(out, "<path fill=\"#{ink:06x}\"{dim} d=\"{path}\"/>");
    }
}

/// The letters of a run, without the blanks around them.
fn text(out: &mut String, run: &Run, left: f64, base: f64) {
    let letters = run.text.trim();
    if letters.is_empty() {
        return;
    }
    let blanks = run.text.len() - run.text.trim_start().len();
    let left = left + blanks as f64 * CELL.0;
    let width = letters.chars().count() as f64 * CELL.0;
    let Look { ink, bold, dim, struck, .. } = run.look;
    let bold = if bold { " font-weight=\"bold\"" } else { "" };
    let dim = if dim { " opacity=\"0.6\"" } else { "" };
    let struck = if struck { " text-decoration=\"line-through\"" } else { "" };
    let _ = writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{base:.1}\" textLength=\"{width:.1}\" fill=\"#{ink:06x}\"{bold}{dim}{struck}>{}</text>",
        escaped(letters)
    );
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            _ if letter.is_control() => escaped.push(' '),
            _ => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    #[test]
    fn a_run_of_one_style_is_one_text_and_blanks_are_none() {
        let mut buffer = Buffer::empty(Rect::new(3, 2, 12, 1));
        buffer.set_string(4, 2, "a<b", Style::new());
        buffer.set_string(8, 2, "& c", Style::new().fg(Color::Rgb(1, 2, 3)).add_modifier(Modifier::BOLD));
        buffer.set_string(12, 2, "  ", Style::new().add_modifier(Modifier::REVERSED));
        let picture = svg(&buffer, Paper::DARK, "x > y");
        let lines: Vec<&str> =
            picture.lines().filter(|line| line.starts_with("<text") || line.starts_with("<rect x")).collect();
        assert_eq!(
            lines,
            [
                "<text x=\"18.4\" y=\"23.0\" textLength=\"25.2\" fill=\"#d8dee4\">a&lt;b</text>",
                "<text x=\"52.0\" y=\"23.0\" textLength=\"25.2\" fill=\"#010203\" font-weight=\"bold\">&amp; c</text>",
                "<rect x=\"85.6\" y=\"10.0\" width=\"16.8\" height=\"16.0\" fill=\"#d8dee4\"/>",
            ]
        );
        assert!(picture.contains("<title>x &gt; y</title>"));
    }

    #[test]
    fn braille_is_drawn_as_dots_and_not_as_text() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 1));
        buffer.set_string(0, 0, "a⠁⣿ ", Style::new());
        let picture = svg(&buffer, Paper::DARK, "");
        assert!(picture.contains(">a</text>") && !picture.contains('⠁') && !picture.contains('⣿'));
        let path = picture.lines().find(|line| line.starts_with("<path")).expect("dots");
        assert_eq!(path.matches('M').count(), 1 + 8);
        assert!(path.contains("d=\"M19.5 11.0h2v2h-2zM27.9 11.0h2v2h-2z"), "{path}");
    }

    #[test]
    fn a_picture_of_nothing_is_a_picture() {
        let picture = svg(&Buffer::empty(Rect::ZERO), Paper::LIGHT, "");
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    }
}
