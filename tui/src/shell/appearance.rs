//! What the environment and the terminal say about colours and glyphs.

use std::time::Duration;

use terminal_colorsaurus::{QueryOptions, ThemeMode, theme_mode};

use crate::symbols::SymbolSet;
use crate::theme::{Choice, Environment, Theme};

/// The theme for this terminal: as named, or as the environment and the colour of the background suggest.
pub fn theme(choice: Choice, set: Option<SymbolSet>) -> Theme {
    let variable = |name: &str| std::env::var(name).ok();
    let (no_color, term, colorterm) = (variable("NO_COLOR"), variable("TERM"), variable("COLORTERM"));
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(variable);
    let [all, ctype, lang] = &locale;
    let environment = Environment {
        no_color: no_color.as_deref(),
        term: term.as_deref(),
        colorterm: colorterm.as_deref(),
        locale: [all.as_deref(), ctype.as_deref(), lang.as_deref()],
        light: false,
    };
    let asks = choice == Choice::Auto && !environment.is_colourless();
    Environment { light: asks && background_is_light(), ..environment }.theme(choice, set)
}

/// How long a terminal may take to say its colour. All of them answer the question that is sent along with it at once, known
/// or not, so that only a slow connection uses the whole time; a later answer would be taken for typed letters.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks the terminal; what does not answer is dark, as most are.
fn background_is_light() -> bool {
    let mut options = QueryOptions::default();
    options.timeout = PATIENCE;
    matches!(theme_mode(options), Ok(ThemeMode::Light))
}
