//! Colours by role: the views name what a cell means, a theme says how that looks.

use ratatui::style::{Color, Modifier, Style};

use crate::symbols::Symbols;

/// What a cell means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Plain figures and words.
    Text,
    /// Labels and what is of less weight.
    Dim,
    /// Frames and axes.
    Border,
    /// Names of panels.
    Title,
    /// The one number that matters.
    Headline,
    /// A key that can be pressed.
    Key,
    /// A key that cannot be pressed now.
    Disabled,
    /// The prefill side.
    Prefill,
    /// The decode side.
    Decode,
    /// Units that do both.
    Aggregated,
    /// Within bounds.
    Good,
    /// Out of bounds, failed, lost.
    Bad,
    /// Needs attention.
    Warn,
    /// A bound of the SLO.
    Slo,
    /// The offered rate.
    Offered,
    /// An event in a chart.
    Mark,
    /// The median in a chart.
    Median,
    /// The 95th percentile in a chart.
    Tail,
    /// The selected line of a dialog.
    Selected,
    /// A banner.
    Alert,
}

impl Paint {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 20] = [
        Self::Text,
        Self::Dim,
        Self::Border,
        Self::Title,
        Self::Headline,
        Self::Key,
        Self::Disabled,
        Self::Prefill,
        Self::Decode,
        Self::Aggregated,
        Self::Good,
        Self::Bad,
        Self::Warn,
        Self::Slo,
        Self::Offered,
        Self::Mark,
        Self::Median,
        Self::Tail,
        Self::Selected,
        Self::Alert,
    ];
}

/// How many colours the terminal shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// The sixteen of ANSI.
    Ansi,
    /// 24 bits.
    True,
}

/// How each [`Paint`] looks, and which glyphs are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// The glyphs.
    pub symbols: Symbols,
    styles: [Style; Paint::ALL.len()],
}

impl Theme {
    /// A theme from a function of roles.
    pub fn new(symbols: Symbols, style: impl Fn(Paint) -> Style) -> Self {
        Self { symbols, styles: Paint::ALL.map(style) }
    }

    /// For dark backgrounds. The side, good and bad colours are those of Okabe and Ito, which colour-blind people tell apart.
    pub fn dark(depth: Depth) -> Self {
        let pick = |rgb: u32, ansi: Color| match depth {
            Depth::True => Color::from_u32(rgb),
            Depth::Ansi => ansi,
        };
        let prefill = pick(0x0056_B4E9, Color::Cyan);
        let decode = pick(0x00E6_9F00, Color::Yellow);
        let good = pick(0x0000_9E73, Color::Green);
        let bad = pick(0x00D5_5E00, Color::Red);
        let purple = pick(0x00CC_79A7, Color::Magenta);
        let grey = pick(0x0080_8080, Color::DarkGray);
        let plain = Style::new();
        Self::new(Symbols::UNICODE, |paint| match paint {
            Paint::Text => plain,
            Paint::Dim | Paint::Border | Paint::Offered => plain.fg(grey),
            Paint::Title | Paint::Headline | Paint::Key => plain.add_modifier(Modifier::BOLD),
            Paint::Disabled => plain.fg(grey).add_modifier(Modifier::DIM),
            Paint::Prefill => plain.fg(prefill),
            Paint::Decode => plain.fg(decode),
            Paint::Aggregated | Paint::Mark => plain.fg(purple),
            Paint::Good | Paint::Median => plain.fg(good),
            Paint::Bad => plain.fg(bad).add_modifier(Modifier::BOLD),
            Paint::Warn => plain.fg(decode).add_modifier(Modifier::BOLD),
            Paint::Slo => plain.fg(bad),
            Paint::Tail => plain.fg(prefill).add_modifier(Modifier::BOLD),
            Paint::Selected => plain.add_modifier(Modifier::REVERSED),
            Paint::Alert => plain.fg(bad).add_modifier(Modifier::REVERSED | Modifier::BOLD),
        })
    }

    /// Without colours: weight and reversal only.
    pub fn mono() -> Self {
        let plain = Style::new();
        Self::new(Symbols::UNICODE, |paint| match paint {
            Paint::Title | Paint::Headline | Paint::Key | Paint::Bad | Paint::Warn | Paint::Tail => {
                plain.add_modifier(Modifier::BOLD)
            }
            Paint::Dim | Paint::Border | Paint::Disabled | Paint::Offered => plain.add_modifier(Modifier::DIM),
            Paint::Selected | Paint::Alert => plain.add_modifier(Modifier::REVERSED),
            _ => plain,
        })
    }

    /// The theme for an environment: mono when `NO_COLOR` is set and not empty or `TERM` is `dumb`, else dark with as many
    /// colours as `COLORTERM` promises.
    pub fn for_environment(no_color: Option<&str>, term: Option<&str>, colorterm: Option<&str>) -> Self {
        if no_color.is_some_and(|value| !value.is_empty()) || term == Some("dumb") {
            return Self::mono();
        }
        match colorterm {
            Some("truecolor" | "24bit") => Self::dark(Depth::True),
            _ => Self::dark(Depth::Ansi),
        }
    }

    /// How `paint` looks.
    pub fn style(&self, paint: Paint) -> Style {
        self.styles.get(paint as usize).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_paints_is_in_declaration_order() {
        for (index, paint) in Paint::ALL.into_iter().enumerate() {
            assert_eq!(paint as usize, index, "{paint:?}");
        }
    }

    #[test]
    fn no_color_and_dumb_terminals_get_no_colour() {
        for theme in [
            Theme::for_environment(Some("1"), Some("xterm-256color"), Some("truecolor")),
            Theme::for_environment(None, Some("dumb"), None),
        ] {
            for paint in Paint::ALL {
                assert_eq!((theme.style(paint).fg, theme.style(paint).bg), (None, None), "{paint:?}");
            }
        }
    }

    #[test]
    fn an_empty_no_color_is_not_set_and_depth_follows_colorterm() {
        assert_eq!(Theme::for_environment(Some(""), Some("xterm"), None), Theme::dark(Depth::Ansi));
        assert_eq!(Theme::for_environment(None, None, Some("truecolor")), Theme::dark(Depth::True));
    }
}
