//! What the screen shows, at each size, in each state, in each theme.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};
use loadgen::diagnose::Limit;
use loadgen::slo::Slo;
use ratatui::buffer::Cell;
use tui::model::Model;
use tui::scene::{self, SCREENS, seconds};
use tui::symbols::SymbolSet;
use tui::theme::{Depth, Theme};
use tui::update::{Msg, update};

use crate::fixture::{SIZES, probe, render, render_with, role, text, text_and_roles};

fn themes() -> Vec<Theme> {
    let at_depth = |depth| [Theme::dark(depth), Theme::light(depth), Theme::high_contrast(depth)];
    [Depth::True, Depth::Ansi].into_iter().flat_map(at_depth).chain([Theme::mono()]).collect()
}

fn press(model: &mut Model, keys: &[KeyCode]) {
    for key in keys {
        update(model, Msg::Key(KeyEvent::from(*key)));
    }
}

fn at_all_sizes(name: &str, model: &Model) {
    let shots =
        SIZES.map(|(width, height)| format!("=== {width}x{height}\n{}", text_and_roles(&render(model, width, height))));
    insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, shots.concat()) });
}

#[test]
fn every_screen_at_every_size() {
    for screen in SCREENS {
        at_all_sizes(screen.name, &(screen.model)());
    }
}

/// The maps of roles in the snapshots therefore hold for every theme.
#[test]
fn in_every_theme_each_cell_looks_as_its_role_does_and_says_the_same() {
    let themes = themes();
    for screen in SCREENS {
        let model = (screen.model)();
        for (width, height) in SIZES {
            let roles = render(&model, width, height);
            for theme in &themes {
                let drawn = render_with(&model, theme, width, height);
                for (cell, of) in drawn.content.iter().zip(&roles.content) {
                    assert_eq!(cell.symbol(), of.symbol(), "{} {width}x{height}", screen.name);
                    let paint = role(of).expect("every cell has a role");
                    let style = theme.style(paint);
                    if cell.symbol() != " " {
                        assert_eq!(cell.fg, style.fg.unwrap_or(cell.fg), "{} {paint:?}", screen.name);
                        assert!(cell.modifier.contains(style.add_modifier), "{} {paint:?}", screen.name);
                    }
                }
            }
        }
    }
}

#[test]
fn other_glyphs_say_the_same_and_ascii_is_ascii() {
    for (name, set) in [("live_block", SymbolSet::Block), ("live_ascii", SymbolSet::Ascii)] {
        let theme = probe().with_symbols(set);
        let model = (scene::screen("live").expect("a screen").model)();
        let past = (scene::screen("past").expect("a screen").model)();
        let shots = [(&model, 100, 30), (&past, 80, 24)].map(|(model, width, height)| {
            format!("=== {width}x{height}\n{}", text(&render_with(model, &theme, width, height)))
        });
        insta::with_settings!({ omit_expression => true }, { insta::assert_snapshot!(name, shots.concat()) });
    }
    let theme = Theme::mono().with_symbols(SymbolSet::Ascii);
    for screen in SCREENS {
        for (width, height) in SIZES {
            let drawn = render_with(&(screen.model)(), &theme, width, height);
            let foreign: Vec<&str> = drawn.content.iter().map(Cell::symbol).filter(|s| !s.is_ascii()).collect();
            assert!(foreign.is_empty(), "{} {width}x{height}: {foreign:?}", screen.name);
            let unknown = text(&drawn).replace("? ", "").replace("?:help", "");
            assert!(
                !unknown.contains('?') || matches!(screen.name, "help" | "quit" | "commands"),
                "{}: {unknown}",
                screen.name
            );
        }
    }
}

/// A bound far above everything measured would press the lines flat: it leaves the axis and stands in the corner.
#[test]
fn a_bound_far_above_the_data_is_named_in_the_corner() {
    let mut snapshot = scene::normal();
    snapshot.slo = snapshot.slo.map(|slo| Slo { ttft: Some(seconds(20.0)), ..slo });
    let text = text_and_roles(&render(&scene::model(snapshot), 100, 30));
    assert!(text.contains("│ 20k▲"), "{text}");
}

#[test]
fn the_shift_dialog_warns_of_moves_that_take_from_the_limiting_side() {
    let mut snapshot = scene::normal();
    snapshot.diagnosis.limit = Limit::Prefill;
    let mut model = scene::model(snapshot);
    press(&mut model, &[KeyCode::Char('s'), KeyCode::Up, KeyCode::Char('k')]);
    at_all_sizes("shift-away-by-migration", &model);
}

#[test]
fn the_shift_dialog_lists_impossible_moves_with_their_reason() {
    let mut snapshot = scene::normal();
    snapshot.units = Arc::new(snapshot.units[1..3].to_vec());
    snapshot.split.prefill = 1;
    snapshot.split.decode = 1;
    let mut model = scene::model(snapshot);
    press(&mut model, &[KeyCode::Char('s'), KeyCode::Up, KeyCode::Up, KeyCode::Up, KeyCode::Char('y')]);
    at_all_sizes("shift-impossible", &model);
}
