//! What the screen shows, at each size, in each state.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};
use loadgen::live::{Phase, Snapshot};
use loadgen::slo::Slo;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use tui::model::Model;
use tui::theme::{Depth, Theme};
use tui::update::{Msg, update};
use tui::view::view;

use crate::fixture::{self, model, render, text_and_roles};

fn shot(name: &str, model: &Model, width: u16, height: u16) {
    insta::assert_snapshot!(format!("{name}_{width}x{height}"), text_and_roles(&render(model, width, height)));
}

const SIZES: [(u16, u16); 4] = [(100, 30), (80, 24), (60, 14), (30, 8)];

fn at_all_sizes(name: &str, snapshot: Snapshot) {
    let model = model(snapshot);
    for (width, height) in SIZES {
        shot(name, &model, width, height);
    }
}

fn press(model: &mut Model, keys: &[KeyCode]) {
    for key in keys {
        update(model, Msg::Key(KeyEvent::from(*key)));
    }
}

#[test]
fn every_theme_shows_the_same_text_so_that_no_meaning_is_in_a_colour_alone() {
    for snapshot in [fixture::normal(), fixture::shifting(), fixture::ailing(), fixture::crowded()] {
        let mut model = model(snapshot);
        press(&mut model, &[KeyCode::Char('s')]);
        for (width, height) in SIZES {
            let area = Rect::new(0, 0, width, height);
            let texts = [Theme::dark(Depth::True), Theme::dark(Depth::Ansi), Theme::mono()].map(|theme| {
                let mut buffer = Buffer::empty(area);
                view(&model, &theme, area, &mut buffer);
                buffer.content.iter().map(Cell::symbol).collect::<String>()
            });
            assert!(texts.iter().all(|text| *text == texts[0]), "{width}x{height}");
        }
    }
}

/// A bound far above everything measured would press the lines flat: it leaves the axis and stands in the corner.
#[test]
fn a_bound_far_above_the_data_is_named_in_the_corner() {
    let mut snapshot = fixture::normal();
    snapshot.slo = snapshot.slo.map(|slo| Slo { ttft: Some(fixture::seconds(20.0)), ..slo });
    let text = text_and_roles(&render(&model(snapshot), 100, 30));
    assert!(text.contains("│ 20k▲"), "{text}");
}

#[test]
fn normal() {
    at_all_sizes("normal", fixture::normal());
}

#[test]
fn shifting() {
    at_all_sizes("shifting", fixture::shifting());
}

#[test]
fn before_the_first_answer() {
    at_all_sizes("waiting", fixture::waiting());
}

#[test]
fn without_an_slo() {
    at_all_sizes("no_slo", fixture::without_slo());
}

#[test]
fn aggregated() {
    at_all_sizes("aggregated", fixture::aggregated());
}

#[test]
fn more_units_than_rows() {
    at_all_sizes("crowded", fixture::crowded());
}

#[test]
fn the_tool_itself_is_unwell() {
    at_all_sizes("ailing", fixture::ailing());
}

#[test]
fn paused_and_done() {
    for (name, phase) in [("paused", Phase::Paused), ("done", Phase::Done)] {
        at_all_sizes(name, fixture::in_phase(phase));
    }
}

#[test]
fn a_frozen_picture_says_for_how_long() {
    let mut model = model(fixture::normal());
    press(&mut model, &[KeyCode::Char(' ')]);
    let later = Snapshot { now: fixture::seconds(163.0), ..fixture::shifting() };
    update(&mut model, Msg::Snapshot(Arc::new(later)));
    for (width, height) in SIZES {
        shot("frozen", &model, width, height);
    }
}

#[test]
fn the_shift_dialog() {
    let mut model = model(fixture::normal());
    press(&mut model, &[KeyCode::Char('s')]);
    for (width, height) in SIZES {
        shot("shift", &model, width, height);
    }
    press(&mut model, &[KeyCode::Up, KeyCode::Char('k')]);
    shot("shift_away_by_migration", &model, 80, 24);
}

#[test]
fn the_shift_dialog_lists_impossible_moves_with_their_reason() {
    let mut snapshot = fixture::normal();
    snapshot.units = Arc::new(snapshot.units[1..3].to_vec());
    snapshot.split.prefill = 1;
    snapshot.split.decode = 1;
    let mut model = model(snapshot);
    press(&mut model, &[KeyCode::Char('s'), KeyCode::Up, KeyCode::Up, KeyCode::Up, KeyCode::Char('y')]);
    shot("shift_impossible", &model, 80, 24);
}

#[test]
fn help_and_the_question_before_leaving() {
    for (name, key) in [("help", '?'), ("quit", 'q')] {
        let mut model = model(fixture::normal());
        press(&mut model, &[KeyCode::Char(key)]);
        for (width, height) in SIZES {
            shot(name, &model, width, height);
        }
    }
}
