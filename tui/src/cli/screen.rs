//! How the live screen looks, and what may be done on it.

use clap::{Args, ValueEnum};

use crate::symbols::SymbolSet;
use crate::theme::Choice;

/// Options of the screen.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Screen")]
pub struct ScreenArgs {
    /// Colours. `auto` asks the terminal for its background, and follows `NO_COLOR` and `TERM=dumb`
    #[arg(long, value_name = "THEME", value_enum, default_value_t = ThemeArg::Auto)]
    pub theme: ThemeArg,
    /// Glyphs. `auto` is ASCII where the locale is not UTF-8; `block` is for fonts without braille
    #[arg(long, value_name = "SET", value_enum, default_value_t = SymbolsArg::Auto)]
    pub symbols: SymbolsArg,
    /// Look, but change nothing of the run
    #[arg(long)]
    pub read_only: bool,
}

/// A theme by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ThemeArg {
    /// What suits the terminal.
    Auto,
    /// For dark backgrounds.
    Dark,
    /// For light backgrounds.
    Light,
    /// Bright on black, nothing dim.
    HighContrast,
    /// No colours.
    Mono,
}

impl From<ThemeArg> for Choice {
    fn from(theme: ThemeArg) -> Self {
        match theme {
            ThemeArg::Auto => Self::Auto,
            ThemeArg::Dark => Self::Dark,
            ThemeArg::Light => Self::Light,
            ThemeArg::HighContrast => Self::HighContrast,
            ThemeArg::Mono => Self::Mono,
        }
    }
}

/// Glyphs by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SymbolsArg {
    /// What the locale can show.
    Auto,
    /// All of Unicode.
    Braille,
    /// All but braille.
    Block,
    /// ASCII alone.
    Ascii,
}

impl SymbolsArg {
    /// The set it names; `None` for what the locale can show.
    pub fn set(self) -> Option<SymbolSet> {
        match self {
            Self::Auto => None,
            Self::Braille => Some(SymbolSet::Braille),
            Self::Block => Some(SymbolSet::Block),
            Self::Ascii => Some(SymbolSet::Ascii),
        }
    }
}
