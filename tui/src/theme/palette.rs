//! The themes themselves.

use ratatui::style::{Color, Modifier, Style};

use super::{Paint, Theme};
use crate::picture::Paper;

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The sixteen of ANSI.
    Ansi,
    /// 24 bits.
    True,
}

/// The colours that carry a meaning. Sides, good and bad are those of Okabe and Ito, which colour-blind people tell apart.
struct Colours {
    prefill: Color,
    decode: Color,
    good: Color,
    bad: Color,
    mark: Color,
    grey: Color,
}

impl Depth {
    fn pick(self, rgb: u32, ansi: Color) -> Color {
        match self {
            Self::True => Color::from_u32(rgb),
            Self::Ansi => ansi,
        }
    }
}

impl Theme {
    /// For dark backgrounds.
    pub fn dark(depth: Depth) -> Self {
        Self::coloured(&Colours {
            prefill: depth.pick(0x0056_B4E9, Color::Cyan),
            decode: depth.pick(0x00E6_9F00, Color::Yellow),
            good: depth.pick(0x0000_9E73, Color::Green),
            bad: depth.pick(0x00D5_5E00, Color::Red),
            mark: depth.pick(0x00CC_79A7, Color::Magenta),
            grey: depth.pick(0x0080_8080, Color::DarkGray),
        })
    }

    /// For light backgrounds: the same hues, darker.
    pub fn light(depth: Depth) -> Self {
        Self::coloured(&Colours {
            prefill: depth.pick(0x0000_72B2, Color::Blue),
            decode: depth.pick(0x00B3_5900, Color::Magenta),
            good: depth.pick(0x0000_6B4E, Color::Green),
            bad: depth.pick(0x00B0_3A00, Color::Red),
            mark: depth.pick(0x008F_3B6E, Color::Cyan),
            grey: depth.pick(0x0060_6060, Color::DarkGray),
        })
        .on(Paper::LIGHT)
    }

    fn coloured(c: &Colours) -> Self {
        let plain = Style::new();
        let bold = plain.add_modifier(Modifier::BOLD);
        Self::new(|paint| match paint {
            Paint::Text => plain,
            Paint::Dim | Paint::Border | Paint::Offered => plain.fg(c.grey),
            Paint::Title | Paint::Headline | Paint::Key => bold,
            Paint::Disabled => plain.fg(c.grey).add_modifier(Modifier::DIM),
            Paint::Prefill => plain.fg(c.prefill),
            Paint::Decode => plain.fg(c.decode),
            Paint::Aggregated | Paint::Mark => plain.fg(c.mark),
            Paint::PrefillWork => plain.fg(c.prefill).add_modifier(Modifier::REVERSED),
            Paint::DecodeWork => plain.fg(c.decode).add_modifier(Modifier::REVERSED),
            Paint::CopyWork => plain.fg(c.mark).add_modifier(Modifier::REVERSED),
            Paint::Good | Paint::Median | Paint::Heat => plain.fg(c.good),
            Paint::Bad => bold.fg(c.bad),
            Paint::Warn | Paint::Cursor => bold.fg(c.decode),
            Paint::Slo | Paint::HeatOver => plain.fg(c.bad),
            Paint::Tail | Paint::Focus => bold.fg(c.prefill),
            Paint::Selected => plain.add_modifier(Modifier::REVERSED),
            Paint::Alert => plain.fg(c.bad).add_modifier(Modifier::REVERSED | Modifier::BOLD),
        })
    }

    /// Bright colours on black, nothing dim: for poor screens and poor eyes.
    pub fn high_contrast(depth: Depth) -> Self {
        let black = depth.pick(0x0000_0000, Color::Black);
        let white = depth.pick(0x00FF_FFFF, Color::White);
        let prefill = depth.pick(0x0000_E5FF, Color::LightCyan);
        let decode = depth.pick(0x00FF_E100, Color::LightYellow);
        let good = depth.pick(0x0000_FF7F, Color::LightGreen);
        let bad = depth.pick(0x00FF_7A5C, Color::LightRed);
        let mark = depth.pick(0x00FF_9BFF, Color::LightMagenta);
        let plain = Style::new().fg(white).bg(black);
        let bold = plain.add_modifier(Modifier::BOLD);
        Self::new(|paint| match paint {
            Paint::Text | Paint::Dim | Paint::Border | Paint::Offered => plain,
            Paint::Title | Paint::Headline | Paint::Key => bold,
            // Struck through rather than dim: it must be as readable as the rest.
            Paint::Disabled => plain.add_modifier(Modifier::CROSSED_OUT),
            Paint::Prefill => plain.fg(prefill),
            Paint::Decode => plain.fg(decode),
            Paint::Aggregated | Paint::Mark => plain.fg(mark),
            Paint::PrefillWork => Style::new().fg(black).bg(prefill),
            Paint::DecodeWork => Style::new().fg(black).bg(decode),
            Paint::CopyWork => Style::new().fg(black).bg(mark),
            Paint::Good | Paint::Median | Paint::Heat => plain.fg(good),
            Paint::Bad | Paint::Slo | Paint::HeatOver => bold.fg(bad),
            Paint::Warn | Paint::Cursor => bold.fg(decode),
            Paint::Tail | Paint::Focus => bold.fg(prefill),
            Paint::Selected => Style::new().fg(black).bg(white).add_modifier(Modifier::BOLD),
            Paint::Alert => Style::new().fg(black).bg(bad).add_modifier(Modifier::BOLD),
        })
        .on(Paper::BLACK)
    }

    /// Without colours: weight and reversal only.
    pub fn mono() -> Self {
        let plain = Style::new();
        Self::new(|paint| match paint {
            Paint::Title
            | Paint::Headline
            | Paint::Key
            | Paint::Bad
            | Paint::Warn
            | Paint::Tail
            | Paint::Focus
            | Paint::Cursor
            | Paint::HeatOver => plain.add_modifier(Modifier::BOLD),
            Paint::Dim | Paint::Border | Paint::Disabled | Paint::Offered => plain.add_modifier(Modifier::DIM),
            Paint::Selected | Paint::Alert | Paint::PrefillWork | Paint::DecodeWork | Paint::CopyWork => {
                plain.add_modifier(Modifier::REVERSED)
            }
            _ => plain,
        })
    }
}
