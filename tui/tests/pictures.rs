//! The pictures of the README are what `pdtune shot` draws now.

use std::path::Path;

use tui::cli::{ShotOptions, Size, SymbolsArg, ThemeArg};
use tui::command::shot::draw;

/// Screens that the README shows; each is `.pictures/NAME.svg`.
const PICTURES: [&str; 5] = ["live", "shift", "whatif", "requests", "view-past"];
/// Larger ones make a page slow.
const LARGEST: usize = 60 << 10;

#[test]
fn every_picture_of_the_readme_is_what_is_drawn_now() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("the README");
    let mut stale = String::new();
    for screen in PICTURES {
        let name = format!(".pictures/{screen}.svg");
        assert!(readme.contains(&format!("({name})")), "the README does not show {name}");
        let options = ShotOptions {
            screen: screen.to_owned(),
            out: name.clone().into(),
            size: Size { width: 100, height: 30 },
            theme: ThemeArg::Auto,
            symbols: SymbolsArg::Auto,
        };
        let drawn = draw(&options).expect("a picture");
        assert!(drawn.len() <= LARGEST, "{name} has {} bytes", drawn.len());
        if std::fs::read_to_string(root.join(&name)).ok() != Some(drawn) {
            stale = format!("{stale}\n  cargo run -- shot {screen} --out {name}");
        }
    }
    assert!(stale.is_empty(), "pictures are not what is drawn now; look at them, then{stale}");
}
