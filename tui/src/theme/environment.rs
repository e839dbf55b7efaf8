//! Which theme and which glyphs a terminal gets when the user names none.

use crate::symbols::SymbolSet;

use super::{Depth, Theme};

/// A theme by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// What suits the terminal.
    #[default]
    Auto,
    /// For dark backgrounds.
    Dark,
    /// For light backgrounds.
    Light,
    /// Bright on black.
    HighContrast,
    /// No colours.
    Mono,
}

/// What the environment says about the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Environment<'a> {
    /// `NO_COLOR`.
    pub no_color: Option<&'a str>,
    /// `TERM`.
    pub term: Option<&'a str>,
    /// `COLORTERM`.
    pub colorterm: Option<&'a str>,
    /// `LC_ALL`, `LC_CTYPE` and `LANG`.
    pub locale: [Option<&'a str>; 3],
    /// Whether the terminal answered that its background is light.
    pub light: bool,
}

impl Environment<'_> {
    /// Whether colours are unwanted (`NO_COLOR` is set and not empty) or the terminal has none (`TERM` is `dumb`).
    pub fn is_colourless(&self) -> bool {
        self.no_color.is_some_and(|value| !value.is_empty()) || self.term == Some("dumb")
    }

    /// The theme: a choice by name wins over everything the environment says. Glyphs follow `set`, or else the locale.
    pub fn theme(&self, choice: Choice, set: Option<SymbolSet>) -> Theme {
        let depth = match self.colorterm {
            Some("truecolor" | "24bit") => Depth::True,
            _ => Depth::Ansi,
        };
        let theme = match choice {
            Choice::Mono => Theme::mono(),
            Choice::Auto if self.is_colourless() => Theme::mono(),
            Choice::Light => Theme::light(depth),
            Choice::Auto if self.light => Theme::light(depth),
            Choice::HighContrast => Theme::high_contrast(depth),
            Choice::Dark | Choice::Auto => Theme::dark(depth),
        };
        theme.with_symbols(set.unwrap_or_else(|| SymbolSet::for_environment(self.locale, self.term)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::Paint;

    const XTERM: Environment<'_> = Environment {
        no_color: None,
        term: Some("xterm-256color"),
        colorterm: None,
        locale: [None, None, Some("C.UTF-8")],
        light: false,
    };

    #[test]
    fn no_color_and_dumb_terminals_get_no_colour() {
        let no_color = Environment { no_color: Some("1"), colorterm: Some("truecolor"), light: true, ..XTERM };
        let dumb = Environment { term: Some("dumb"), ..XTERM };
        for environment in [no_color, dumb] {
            let theme = environment.theme(Choice::Auto, None);
            for paint in Paint::ALL {
                assert_eq!((theme.style(paint).fg, theme.style(paint).bg), (None, None), "{paint:?}");
            }
        }
        assert_eq!(no_color.theme(Choice::Dark, None), Theme::dark(Depth::True), "a choice by name wins");
    }

    #[test]
    fn an_empty_no_color_is_not_set_and_depth_follows_colorterm() {
        let empty = Environment { no_color: Some(""), ..XTERM };
        assert_eq!(empty.theme(Choice::Auto, None), Theme::dark(Depth::Ansi));
        let colours = Environment { colorterm: Some("truecolor"), ..XTERM };
        assert_eq!(colours.theme(Choice::Auto, None), Theme::dark(Depth::True));
    }

    #[test]
    fn a_light_background_gets_the_light_theme_and_glyphs_follow_the_locale() {
        let light = Environment { light: true, ..XTERM };
        assert_eq!(light.theme(Choice::Auto, None), Theme::light(Depth::Ansi));
        let latin = Environment { locale: [Some("de_DE.ISO-8859-1"), None, None], ..XTERM };
        assert_eq!(latin.theme(Choice::Auto, None).set, SymbolSet::Ascii);
        assert_eq!(latin.theme(Choice::Auto, Some(SymbolSet::Block)).set, SymbolSet::Block);
    }
}
