//! What is written while the screen stands: a picture of it, or a prediction, each as a file of its own.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use loadgen::recording::file_stamp;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::model::Model;
use crate::picture;
use crate::theme::Theme;
use crate::view::view;

/// The screen as SVG.
pub(super) fn draw(model: &Model, theme: &Theme, area: Rect) -> String {
    let mut buffer = Buffer::empty(area);
    view(model, theme, area, &mut buffer);
    let shown = model.shown();
    picture::svg(&buffer, theme.paper, &format!("pdtune: {} at {}", shown.workload, shown.target))
}

/// Writes it into `folder` under the name of the second since 1970 and says where it is. Never writes over a file.
///
/// # Errors
/// One line: what could not be written, and why.
pub(super) fn write(picture: &str, folder: &Path, unix: u64) -> Result<String, String> {
    create(&format!("pdtune-shot-{}.svg", file_stamp(unix)), picture, folder)
}

/// The same with a prediction.
///
/// # Errors
/// As [`write`].
pub(super) fn write_prediction(prediction: &str, folder: &Path, unix: u64) -> Result<String, String> {
    create(&format!("pdtune-whatif-{}.json", file_stamp(unix)), prediction, folder)
}

fn create(name: &str, text: &str, folder: &Path) -> Result<String, String> {
    let path = folder.join(name);
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Ok(()) => Ok(format!("{name} into {}", folder.display())),
        Err(error) => Err(format!("{name} cannot be written into {}: {error}", folder.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene;
    use crate::theme::Depth;

    #[test]
    fn a_picture_is_written_once_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let drawn = draw(&scene::model(scene::normal()), &Theme::light(Depth::True), Rect::new(0, 0, 80, 24));
        assert!(drawn.contains("fill=\"#ffffff\""), "on the ground of the theme");
        let said = write(&drawn, folder.path(), 1_795_424_472).expect("written");
        assert!(said.starts_with("pdtune-shot-2026-11-23T090112Z.svg into "), "{said}");
        let file = folder.path().join("pdtune-shot-2026-11-23T090112Z.svg");
        assert_eq!(std::fs::read_to_string(&file).expect("a file"), drawn);
        let again = write("other", folder.path(), 1_795_424_472).expect_err("it is there");
        assert!(again.starts_with("pdtune-shot-2026-11-23T090112Z.svg cannot be written"), "{again}");
        assert_eq!(std::fs::read_to_string(&file).expect("a file"), drawn);
        assert!(write(&drawn, &folder.path().join("none"), 0).is_err());
        let said = write_prediction("{}\n", folder.path(), 1_795_424_472).expect("written");
        assert!(said.starts_with("pdtune-whatif-2026-11-23T090112Z.json into "), "{said}");
        let refused = write_prediction("{}\n", folder.path(), 1_795_424_472).expect_err("it is there");
        assert!(refused.starts_with("pdtune-whatif-2026-11-23T090112Z.json cannot be written"), "{refused}");
    }
}
