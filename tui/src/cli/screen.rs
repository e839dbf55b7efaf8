//! How the live screen looks, and what may be done on it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use loadgen::text::Malformed;

use crate::symbols::SymbolSet;
use crate::theme::Choice;

/// How a screen looks.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Screen")]
pub struct AppearanceArgs {
    /// Colours. `auto` asks the terminal for its background, and follows `NO_COLOR` and `TERM=dumb`
    #[arg(long, value_name = "THEME", value_enum, default_value_t = ThemeArg::Auto)]
    pub theme: ThemeArg,
    /// Glyphs. `auto` is ASCII where the locale is not UTF-8; `block` is for fonts without braille
    #[arg(long, value_name = "SET", value_enum, default_value_t = SymbolsArg::Auto)]
    pub symbols: SymbolsArg,
}

/// Options of the live screen.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Screen")]
pub struct ScreenArgs {
    /// How it looks.
    #[command(flatten)]
    pub appearance: AppearanceArgs,
    /// Look, but change nothing of the run, and shift nothing of the target
    #[arg(long)]
    pub read_only: bool,
}

/// What `pdtune shot` is asked.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ShotOptions {
    /// The screen: live, past, heatmap, zoom, shift, help and more; a wrong name lists them all
    #[arg(value_name = "SCREEN")]
    pub screen: String,
    /// The picture
    #[arg(long, value_name = "FILE.svg")]
    pub out: PathBuf,
    /// Columns and rows of the terminal
    #[arg(long, value_name = "COLUMNSxROWS", default_value = "100x30")]
    pub size: Size,
    /// Colours; `auto` is dark
    #[arg(long, value_name = "THEME", value_enum, default_value_t = ThemeArg::Auto)]
    pub theme: ThemeArg,
    /// Glyphs; `auto` is braille
    #[arg(long, value_name = "SET", value_enum, default_value_t = SymbolsArg::Auto)]
    pub symbols: SymbolsArg,
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// In columns.
    pub width: u16,
    /// In rows.
    pub height: u16,
}

impl FromStr for Size {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let side = |text: &str| text.parse().ok().filter(|side| (1..=500).contains(side));
        let size = text.split_once('x').and_then(|(width, height)| Some((side(width)?, side(height)?)));
        size.map(|(width, height)| Self { width, height }).ok_or_else(|| Malformed {
            what: "a size",
            found: text.to_owned(),
            allowed: "COLUMNSxROWS such as 100x30, each from 1 to 500".to_owned(),
        })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
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
