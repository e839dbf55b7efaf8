//! Looking around: the cursor, the focus, the zoom, the palette and the mouse. None of it asks anything of the run.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use loadgen::live::{Command, Phase, Snapshot};
use ratatui::layout::Rect;
use tui::model::{Model, Overlay, Panel, Span};
use tui::scene::{self, model, seconds};
use tui::update::{Effect, Msg, update};
use tui::view::layout::{layout, time_area};

use crate::fixture::{render, text};

const SCREEN: Rect = Rect { x: 0, y: 0, width: 100, height: 30 };

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    update(model, Msg::Key(KeyEvent::from(code)))
}

fn type_in(model: &mut Model, text: &str) {
    for letter in text.chars() {
        press(model, KeyCode::Char(letter));
    }
}

fn mouse(model: &mut Model, kind: MouseEventKind, column: u16, row: u16) -> Vec<Effect> {
    let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
    update(model, Msg::Mouse(event, SCREEN))
}

fn line(model: &Model, start: &str) -> String {
    let text = text(&render(model, 100, 30));
    text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or_default().to_owned()
}

#[test]
fn the_figures_are_those_at_the_cursor_and_stay_while_the_run_goes_on() {
    let mut model = model(scene::normal());
    for _ in 0..61 {
        press(&mut model, KeyCode::Left);
    }
    assert_eq!(model.timeline.cursor(), Some(seconds(90.0)));
    let then = scene::normal().at(seconds(90.0));
    assert_eq!(model.here().recent, then.recent);
    assert_eq!((model.here().split.to_string(), model.here().units.len()), ("1P3D".to_owned(), 4));
    let before = text(&render(&model, 100, 30));
    update(&mut model, Msg::Snapshot(Arc::new(Snapshot { now: seconds(170.0), ..scene::down() })));
    assert!(line(&model, "✗ TARGET DOWN").contains(" AT 01:31, 79s AGO "), "the state of the run is that of now");
    assert_eq!(model.here().recent, then.recent);
    let charts = |text: &str| text.lines().skip(7).take(8).map(str::to_owned).collect::<Vec<_>>();
    let after = text(&render(&model, 100, 30));
    assert_eq!(charts(&after)[0], charts(&before)[0], "the axis stands still");
    press(&mut model, KeyCode::End);
    assert_eq!((model.timeline.cursor(), model.here().now), (None, seconds(170.0)));
}

#[test]
fn a_load_that_is_paused_says_so_although_the_last_answers_were_failures() {
    let paused = model(Snapshot { phase: Phase::Paused, ..scene::down() });
    let text = text(&render(&paused, 120, 30));
    assert!(
        text.contains(" PAUSED ") && text.contains("target down: connect: ") && !text.contains("TARGET DOWN"),
        "{text}"
    );
}

#[test]
fn a_cursor_at_a_second_that_is_not_over_shows_it_once_it_is() {
    let run = scene::normal();
    let early = Snapshot { history: Arc::new(run.history[..100].to_vec()), now: seconds(100.7), ..scene::normal() };
    let mut model = model(early);
    press(&mut model, KeyCode::Char('['));
    assert_eq!(model.timeline.cursor(), Some(seconds(100.4)));
    assert!(model.is_ahead());
    update(&mut model, Msg::Snapshot(Arc::new(run.clone())));
    assert_eq!(model.here().recent, run.at(seconds(100.4)).recent);
    assert!(!model.is_ahead());
}

#[test]
fn the_cursor_walks_from_event_to_event_and_says_when_there_is_none() {
    let mut model = model(scene::normal());
    let mut at = Vec::new();
    for key in ['[', '[', '[', '[', ']', ']', ']'] {
        press(&mut model, KeyCode::Char(key));
        at.push(model.timeline.cursor().map(|at| at.0 / 100_000));
    }
    assert_eq!(at, [1004, 972, 603, 603, 972, 1004, 1004].map(Some));
    assert!(model.notice.is_some_and(|notice| notice.text == "no later event"));
    assert_eq!(at[3], at[2], "before the first event the cursor stays");
}

#[test]
fn shift_moves_ten_times_as_far_and_home_goes_to_the_start() {
    let mut model = model(scene::normal());
    update(&mut model, Msg::Key(KeyEvent::new(KeyCode::Left, KeyModifiers::SHIFT)));
    assert_eq!(model.timeline.cursor(), Some(seconds(141.0)));
    press(&mut model, KeyCode::Home);
    assert_eq!(model.timeline.cursor(), Some(seconds(0.0)));
}

#[test]
fn a_frozen_picture_can_be_scrubbed_and_thawing_keeps_the_instant() {
    let mut model = model(scene::normal());
    press(&mut model, KeyCode::Char(' '));
    update(&mut model, Msg::Snapshot(Arc::new(scene::shifting())));
    press(&mut model, KeyCode::Char('['));
    let at = model.timeline.cursor();
    press(&mut model, KeyCode::Char(' '));
    assert_eq!((model.timeline.cursor(), model.frozen.is_some()), (at, false));
}

#[test]
fn escape_backs_out_one_step_at_a_time() {
    let mut model = model(scene::normal());
    type_in(&mut model, " [z:");
    assert!(matches!(model.overlay, Overlay::Palette(_)));
    let state = |model: &Model| (model.look.zoomed, model.timeline.cursor().is_some(), model.frozen.is_some());
    let mut seen = Vec::new();
    for _ in 0..5 {
        press(&mut model, KeyCode::Esc);
        seen.push(state(&model));
    }
    let steps = [(true, true, true), (false, true, true), (false, false, true), (false, false, false)];
    assert_eq!(seen, [steps.as_slice(), &steps[3..]].concat());
}

#[test]
fn the_focus_walks_over_the_panels_and_the_zoom_follows_it() {
    let mut model = model(scene::normal());
    press(&mut model, KeyCode::Enter);
    let walk = [Panel::Goodput, Panel::Split, Panel::Stages, Panel::Events, Panel::Units, Panel::Ttft, Panel::Tpot];
    for panel in walk {
        assert_eq!(model.focus, panel);
        assert_eq!(layout(&model, SCREEN).panels, [(panel, Rect::new(0, 2, 100, 27))]);
        press(&mut model, KeyCode::Tab);
    }
    press(&mut model, KeyCode::BackTab);
    assert_eq!(model.focus, Panel::Tpot);
}

#[test]
fn a_command_is_found_by_a_few_of_its_letters_and_refused_with_its_reason() {
    let mut model = model(scene::normal());
    type_in(&mut model, ":rtu");
    assert_eq!(press(&mut model, KeyCode::Enter), [Effect::Send(Command::SetRate(20.0))]);
    assert_eq!(model.overlay, Overlay::None);

    type_in(&mut model, ":qq");
    press(&mut model, KeyCode::Backspace);
    let Overlay::Palette(palette) = &model.overlay else { panic!("q is a letter here") };
    assert_eq!(palette.text, "q");
    update(&mut model, Msg::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
    type_in(&mut model, "zzz");
    assert_eq!(press(&mut model, KeyCode::Enter), []);
    assert!(matches!(model.overlay, Overlay::Palette(_)), "nothing matches, nothing happens");

    model.offers.shift_refused = Some("not offered by this server".to_owned());
    press(&mut model, KeyCode::Esc);
    type_in(&mut model, ":shift");
    assert!(text(&render(&model, 100, 30)).contains("✗ not offered by this server"));
    press(&mut model, KeyCode::Enter);
    assert!(model.notice.is_some_and(|notice| notice.text == "shift a unit: not offered by this server"));
}

#[test]
fn arrows_pick_in_the_palette() {
    let mut model = model(scene::normal());
    type_in(&mut model, ":rate");
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Down);
    assert_eq!(press(&mut model, KeyCode::Enter), [Effect::Send(Command::SetRate(12.5))]);
}

#[test]
fn a_click_gives_the_focus_to_what_is_under_it_and_dragging_scrubs() {
    let mut model = model(scene::normal());
    for (panel, place) in layout(&model, SCREEN).panels {
        mouse(&mut model, MouseEventKind::Down(MouseButton::Left), place.right() - 1, place.bottom() - 1);
        assert_eq!(model.focus, panel);
        mouse(&mut model, MouseEventKind::Drag(MouseButton::Left), place.x + place.width / 2, place.y + 2);
        assert_eq!(model.timeline.cursor().is_some(), time_area(panel, place).is_some(), "{panel:?}");
        press(&mut model, KeyCode::End);
    }
}

#[test]
fn dragging_beyond_the_chart_ends_at_its_edge() {
    let mut model = model(scene::normal());
    let axis = model.axis();
    mouse(&mut model, MouseEventKind::Down(MouseButton::Left), 10, 12);
    mouse(&mut model, MouseEventKind::Drag(MouseButton::Left), 0, 29);
    let at = model.timeline.cursor().expect("a cursor");
    assert!(at.since(axis.from) < seconds(3.0), "{at:?} {axis:?}");
}

#[test]
fn the_wheel_shows_more_or_less_time_and_moves_through_lists() {
    let mut model = model(scene::normal());
    mouse(&mut model, MouseEventKind::ScrollDown, 5, 5);
    assert_eq!(model.timeline.span(), Span::default().longer());
    mouse(&mut model, MouseEventKind::ScrollUp, 5, 5);
    assert_eq!(model.timeline.span(), Span::default());
    type_in(&mut model, ":rate");
    mouse(&mut model, MouseEventKind::ScrollDown, 5, 5);
    assert_eq!(press(&mut model, KeyCode::Enter), [Effect::Send(Command::SetRate(12.5))]);
}

#[test]
fn the_mouse_can_be_given_to_the_terminal_and_taken_back() {
    let mut model = model(scene::normal());
    assert_eq!(press(&mut model, KeyCode::Char('M')), [Effect::Mouse(false)]);
    assert_eq!(press(&mut model, KeyCode::Char('M')), [Effect::Mouse(true)]);
}
