//! A recording on the screen: keys, mouse, and the time that passes while it is played.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use loadgen::time::Micros;
use loadgen::whatif::{Outlook, PastAsk, WhatIf};
use ratatui::layout::Rect;
use tui::model::{Model, Overlay};
use tui::scene::{outlook, recorded, recorded_with_many_events, seconds};
use tui::update::{Effect, Exit, Msg, update};
use tui::view::layout::layout;

use crate::fixture::{render, text};

fn press(model: &mut Model, keys: &str) -> Vec<Effect> {
    let press = |key| update(model, Msg::Key(KeyEvent::from(KeyCode::Char(key))));
    keys.chars().map(press).last().unwrap_or_default()
}

fn press_code(model: &mut Model, code: KeyCode, with: KeyModifiers) {
    update(model, Msg::Key(KeyEvent::new(code, with)));
}

fn cursor(model: &Model) -> Option<f64> {
    model.timeline.cursor().map(Micros::as_secs_f64)
}

/// The run of the scene lasts 151 s.
fn viewing() -> Model {
    recorded(None)
}

#[test]
fn the_cursor_goes_by_a_second_by_ten_to_tenths_and_to_the_ends() {
    let mut model = viewing();
    assert_eq!(cursor(&model), None, "it opens on the whole run");
    press_code(&mut model, KeyCode::Left, KeyModifiers::NONE);
    assert_eq!(cursor(&model), Some(150.0));
    press_code(&mut model, KeyCode::Left, KeyModifiers::SHIFT);
    assert_eq!(cursor(&model), Some(140.0));
    press_code(&mut model, KeyCode::Right, KeyModifiers::NONE);
    assert_eq!(cursor(&model), Some(141.0));
    press_code(&mut model, KeyCode::Right, KeyModifiers::SHIFT);
    assert_eq!(cursor(&model), None, "beyond the end is the end");
    press(&mut model, "5");
    assert_eq!(cursor(&model), Some(75.5));
    press_code(&mut model, KeyCode::Home, KeyModifiers::NONE);
    assert_eq!(cursor(&model), Some(0.0));
    press_code(&mut model, KeyCode::End, KeyModifiers::NONE);
    assert_eq!(cursor(&model), None);
    press(&mut model, "[");
    assert_eq!(cursor(&model), Some(100.4));
    press(&mut model, "[[");
    assert_eq!(cursor(&model), Some(60.3));
    press(&mut model, "]");
    assert_eq!(cursor(&model), Some(97.2));
}

#[test]
fn figures_are_those_of_the_cursor_and_at_the_end_those_of_the_whole_run() {
    let mut model = viewing();
    let whole = model.here().clone();
    assert_eq!(whole.recent.window, seconds(151.0));
    press(&mut model, "5");
    assert_eq!((model.here().now, model.here().recent.window), (seconds(76.0), seconds(10.0)));
    assert!(model.here().counts.completed < whole.counts.completed);
    press_code(&mut model, KeyCode::Esc, KeyModifiers::NONE);
    assert_eq!(*model.here(), whole);
}

#[test]
fn a_typed_time_is_gone_to_and_a_wrong_one_stays_in_its_form() {
    let mut model = viewing();
    press(&mut model, "g1:59");
    press_code(&mut model, KeyCode::Enter, KeyModifiers::NONE);
    assert_eq!((cursor(&model), model.overlay == Overlay::None), (Some(119.0), true));
    press(&mut model, "g9:00");
    press_code(&mut model, KeyCode::Enter, KeyModifiers::NONE);
    assert_eq!((cursor(&model), model.overlay == Overlay::None), (Some(119.0), false));
    assert!(text(&render(&model, 100, 30)).contains("the recording ends at 02:31"));
}

#[test]
fn time_passes_while_it_plays_as_fast_as_it_is_set_and_ends_with_the_run() {
    let mut model = viewing();
    let tick = |model: &mut Model, at| update(model, Msg::Tick(seconds(at)));
    tick(&mut model, 1.0);
    assert_eq!(cursor(&model), None);
    press(&mut model, " ");
    assert!(model.is_moving());
    tick(&mut model, 5.0);
    tick(&mut model, 7.5);
    assert_eq!(cursor(&model), Some(2.5), "from the start, because it stood at the end");
    press(&mut model, ">>");
    tick(&mut model, 8.5);
    assert_eq!(cursor(&model), Some(7.5), "five times as fast");
    press(&mut model, " ");
    tick(&mut model, 60.0);
    assert_eq!((cursor(&model), model.is_moving()), (Some(7.5), false));
    press(&mut model, " ");
    tick(&mut model, 70.0);
    press(&mut model, "9");
    tick(&mut model, 71.0);
    assert_eq!(cursor(&model), Some(140.9), "played on from where it was put");
    tick(&mut model, 80.0);
    tick(&mut model, 81.0);
    assert_eq!((cursor(&model), model.is_moving()), (None, false));
}

#[test]
fn the_scrub_bar_is_clicked_and_dragged_from_end_to_end() {
    let mut model = viewing();
    let screen = Rect::new(0, 0, 100, 30);
    let bar = layout(&model, screen).scrub;
    let mouse = |model: &mut Model, kind, column, row| {
        update(model, Msg::Mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }, screen));
    };
    let (down, drag) = (MouseEventKind::Down(MouseButton::Left), MouseEventKind::Drag(MouseButton::Left));
    mouse(&mut model, down, 50, bar.y);
    assert!(cursor(&model).is_some_and(|at| (at - 75.0).abs() < 3.0), "{:?}", cursor(&model));
    mouse(&mut model, drag, 0, 3);
    assert_eq!(cursor(&model), Some(0.0), "wherever the mouse is dragged");
    mouse(&mut model, drag, 99, 3);
    assert_eq!(cursor(&model), None);
    mouse(&mut model, MouseEventKind::Up(MouseButton::Left), 99, 3);
    let focus = model.focus;
    mouse(&mut model, down, 10, 12);
    assert_ne!(model.focus, focus, "a panel is clicked");
    mouse(&mut model, drag, 30, 12);
    assert!(cursor(&model).is_some_and(|at| at > 30.0 && at < 110.0), "{:?}", cursor(&model));
}

#[test]
fn what_needs_a_run_is_refused_as_over_a_recording_and_leaving_is_not_asked() {
    let mut model = viewing();
    for (key, name) in [("s", "shift a unit"), ("p", "pause or resume"), ("o", "edit the SLO"), ("l", "edit the load")]
    {
        assert_eq!(press(&mut model, key), []);
        let notice = model.notice.as_ref().map(|notice| notice.text.clone());
        assert_eq!(notice, Some(format!("{name}: this is a recording")));
    }
    assert_eq!(press(&mut model, "q"), [Effect::Leave(Exit::Done)]);
    assert_eq!(update(&mut model, Msg::Interrupt), [Effect::Leave(Exit::Done)]);
}

#[test]
fn the_span_of_the_charts_follows_the_cursor_and_ends_with_the_whole_run() {
    let mut model = recorded_with_many_events();
    let axis = |model: &Model| (model.axis().from.0 / 1_000_000, model.axis().to.0 / 1_000_000);
    assert_eq!(axis(&model), (0, 600));
    press(&mut model, "3++");
    let (from, to) = axis(&model);
    assert!(to - from == 120 && from < 180 && to > 180, "{from} {to}");
    press(&mut model, "9");
    assert!(axis(&model).0 < 540 && axis(&model).1 > 540);
    press(&mut model, "-------");
    assert_eq!(axis(&model), (0, 600));
}

/// What would be told of the instant that is asked about.
fn told_of(ask: PastAsk) -> Arc<Outlook> {
    let told = outlook();
    let prediction = told.prediction.as_deref().expect("a prediction").clone();
    let of_then = WhatIf { at: ask.at, now: ask.split, slo: ask.slo.expect("an SLO"), ..prediction };
    Arc::new(Outlook { prediction: Some(Arc::new(of_then)), ..told })
}

#[test]
fn other_splits_are_asked_about_for_the_cursor_and_told_when_the_answer_comes() {
    let mut model = viewing();
    assert_eq!(press(&mut model, "5"), [], "nothing is asked before it is shown");
    let [Effect::Ask(ask)] = press(&mut model, "w")[..] else { panic!("it asks") };
    assert_eq!((ask.at, ask.split, ask.slo), (Micros(75_500_000), model.here().split, model.here().slo));
    assert!(text(&render(&model, 100, 30)).contains("predicting"));
    assert_eq!(press(&mut model, "e"), [], "nothing to write yet");
    assert_eq!(update(&mut model, Msg::Hindsight(ask, told_of(ask))), []);
    assert!(model.forecast().is_some() && text(&render(&model, 100, 30)).contains("GOODPUT BY SPLIT"));
    let [Effect::Export(file)] = &press(&mut model, "e")[..] else { panic!("it writes") };
    assert!(file.contains("\"kind\": \"what-if\"") && file.contains("\"at_s\": 75.5"), "{file}");
    update(&mut model, Msg::Exported(Err("whatif.json cannot be written into /: no room".to_owned())));
    assert!(text(&render(&model, 100, 30)).contains("no export: whatif.json cannot be written"));
    press_code(&mut model, KeyCode::Enter, KeyModifiers::NONE);
    assert!(matches!(model.overlay, Overlay::WhatIf(_)), "a recording cannot be shifted");
    press(&mut model, "w");
    press_code(&mut model, KeyCode::Left, KeyModifiers::NONE);
    let [Effect::Ask(earlier)] = press(&mut model, "w")[..] else { panic!("it asks again") };
    assert_eq!(earlier.at, Micros(74_500_000));
    update(&mut model, Msg::Hindsight(ask, told_of(ask)));
    assert!(model.forecast().is_none(), "an answer to another question");
}

#[test]
fn a_recording_that_is_played_stands_still_while_other_splits_are_shown() {
    let mut model = viewing();
    press(&mut model, "5 ");
    assert!(model.is_moving());
    press(&mut model, "w");
    assert!(!model.is_moving());
}
