//! `pdtune shot`: a screen as a picture.

use anyhow::Context;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Ending, tell};
use crate::cli::{ShotOptions, ThemeArg};
use crate::picture;
use crate::scene::{SCREENS, screen};
use crate::theme::{Depth, Theme};
use crate::view::view;

/// Draws the screen and writes it to its file.
///
/// # Errors
/// When there is no screen of that name, or the file cannot be written.
pub fn run(options: &ShotOptions) -> anyhow::Result<Ending> {
    let picture = draw(options)?;
    std::fs::write(&options.out, picture).with_context(|| format!("cannot write {}", options.out.display()))?;
    tell(&format!("wrote {}", options.out.display()));
    Ok(Ending::Fine)
}

/// The picture as SVG.
///
/// # Errors
/// When there is no screen of that name.
pub fn draw(options: &ShotOptions) -> anyhow::Result<String> {
    let Some(screen) = screen(&options.screen) else {
        let names: Vec<&str> = SCREENS.iter().map(|screen| screen.name).collect();
        anyhow::bail!("there is no screen `{}`\nhint: screens are {}", options.screen, names.join(", "));
    };
    let theme = match options.theme {
        ThemeArg::Auto | ThemeArg::Dark => Theme::dark(Depth::True),
        ThemeArg::Light => Theme::light(Depth::True),
        ThemeArg::HighContrast => Theme::high_contrast(Depth::True),
        ThemeArg::Mono => Theme::mono(),
    };
    let theme = theme.with_symbols(options.symbols.set().unwrap_or_default());
    let area = Rect::new(0, 0, options.size.width, options.size.height);
    let mut buffer = Buffer::empty(area);
    view(&(screen.model)(), &theme, area, &mut buffer);
    Ok(picture::svg(&buffer, theme.paper, &format!("pdtune: {}, with invented figures", screen.about)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Size, SymbolsArg};

    fn options(screen: &str) -> ShotOptions {
        ShotOptions {
            screen: screen.to_owned(),
            out: "F.svg".into(),
            size: Size { width: 80, height: 24 },
            theme: ThemeArg::Auto,
            symbols: SymbolsArg::Auto,
        }
    }

    #[test]
    fn every_screen_is_a_picture_and_the_same_one_each_time() {
        for screen in SCREENS {
            let picture = draw(&options(screen.name)).expect("a picture");
            assert_eq!(picture, draw(&options(screen.name)).expect("a picture"), "{}", screen.name);
            assert!(picture.matches("<text").count() >= 20, "{}", screen.name);
        }
    }

    #[test]
    fn an_unknown_screen_is_refused_with_those_there_are() {
        let refusal = draw(&options("lives")).expect_err("no such screen").to_string();
        assert!(refusal.starts_with("there is no screen `lives`\nhint: screens are live, "), "{refusal}");
    }
}
