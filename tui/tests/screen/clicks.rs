//! Clicks: what is written on the screen as a key can be clicked, and does what the key does.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use loadgen::live::Command;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tui::action::{Action, Chord, Place, TABLE, lookup};
use tui::model::{Model, Overlay};
use tui::scene::{self, SCREENS, model};
use tui::update::{Effect, Msg, update};
use tui::view::view;
use tui::widget::target::Targets;

use crate::fixture::{SIZES, probe, text};

fn draw(model: &Model, (width, height): (u16, u16)) -> (Buffer, Targets) {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    let targets = view(model, &probe(), area, &mut buffer);
    (buffer, targets)
}

fn press(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    update(model, Msg::Key(KeyEvent::from(code)))
}

/// Clicks on the first letter of `what`, which stands on the screen.
fn click(model: &mut Model, what: &str) -> Vec<Effect> {
    let (buffer, targets) = draw(model, (100, 30));
    let drawn = text(&buffer);
    let (row, line) = drawn.lines().enumerate().find(|(_, line)| line.contains(what)).expect(what);
    let column = line.split(what).next().unwrap_or_default().chars().count();
    let action = targets.at(Position::new(column as u16, row as u16));
    update(model, Msg::Click(action.unwrap_or_else(|| panic!("{what} does nothing\n{drawn}"))))
}

/// What an action can change.
fn state(model: &Model) -> String {
    let Model { overlay, notice, asked_rate, timeline, focus, look, leaving, .. } = model;
    let frozen = model.frozen.is_some();
    format!("{overlay:?} {notice:?} {asked_rate:?} {timeline:?} {focus:?} {look:?} {leaving} {frozen}")
}

/// A key that does `action` where the operator is.
fn key(place: Place, action: Action) -> Option<KeyEvent> {
    let rows = TABLE.iter().filter(|row| row.action == action);
    rows.flat_map(|row| row.chords).map(Chord::event).find(|key| lookup(place, key) == Some(action))
}

#[test]
fn whatever_can_be_clicked_is_seen_and_does_what_its_key_does() {
    for screen in SCREENS {
        for size in SIZES {
            let model = (screen.model)();
            let (buffer, targets) = draw(&model, size);
            for (place, action) in targets.iter() {
                let at = Position::new(place.x, place.y);
                if targets.at(at) != Some(action) {
                    continue;
                }
                let seen: String = place.positions().map(|at| buffer[at].symbol()).collect();
                assert!(!seen.trim().is_empty(), "{} {size:?}: {action:?} at {place:?} is blank", screen.name);
                let Some(key) = key(Place::of(&model), action) else {
                    assert!(matches!(action, Action::Choose(_)), "{}: {action:?} has no key here", screen.name);
                    continue;
                };
                let (mut pressed, mut clicked) = (model.clone(), model.clone());
                let effects = update(&mut pressed, Msg::Key(key));
                assert_eq!(update(&mut clicked, Msg::Click(action)), effects, "{}: {seen}", screen.name);
                let same = state(&clicked) == state(&pressed);
                assert!(same, "{}: {seen} does something else than {key:?}", screen.name);
            }
        }
    }
}

#[test]
fn every_entry_of_the_footer_can_be_clicked() {
    for screen in SCREENS {
        let model = (screen.model)();
        // A message takes its place, and the help the whole screen.
        if model.notice.is_some() || matches!(model.overlay, Overlay::Help(_)) {
            continue;
        }
        let (buffer, targets) = draw(&model, (100, 30));
        let footer = 29;
        for column in 0..100 {
            let is_text = buffer[(column, footer)].symbol() != " ";
            // Blanks stand inside entries as well, such as in `t T:time span`.
            if is_text {
                assert!(targets.at(Position::new(column, footer)).is_some(), "{} column {column}", screen.name);
            }
        }
    }
}

#[test]
fn both_keys_of_an_entry_are_clicked_apart() {
    let mut model = model(scene::normal());
    let (_, targets) = draw(&model, (100, 30));
    let mut of_rate: Vec<_> =
        targets.iter().filter(|(_, action)| matches!(action, Action::RateUp | Action::RateDown)).collect();
    of_rate.sort_by_key(|(place, _)| place.x);
    let actions: Vec<_> = of_rate.iter().map(|(place, action)| (place.width, *action)).collect();
    assert_eq!(actions, [(1, Action::RateUp), (1, Action::RateDown), (5, Action::RateUp)], "+ - :rate");
    assert_eq!(update(&mut model, Msg::Click(Action::RateDown)), [Effect::Send(Command::SetRate(12.5))]);
}

#[test]
fn the_shift_dialog_is_done_with_the_mouse_alone() {
    let mut model = model(scene::normal());
    assert_eq!(click(&mut model, "s:shift"), []);
    click(&mut model, "one prefill → decode");
    click(&mut model, "(k: migrate)");
    let asked = click(&mut model, "y: shift to 1P3D (migrate)");
    assert!(
        matches!(asked.as_slice(), [Effect::Send(Command::Shift(split, _))] if split.to_string() == "1P3D"),
        "{asked:?}"
    );
    assert_eq!(model.overlay, Overlay::None);
    model.notice = None;
    click(&mut model, "s:shift");
    assert_eq!(click(&mut model, "[ Cancel ]"), []);
    assert_eq!(model.overlay, Overlay::None);
}

#[test]
fn a_command_is_selected_by_a_click_and_done_by_another() {
    let mut model = model(scene::normal());
    click(&mut model, "::commands");
    click(&mut model, "rate down");
    assert!(matches!(model.overlay, Overlay::Palette(_)));
    assert_eq!(click(&mut model, "rate down"), [Effect::Send(Command::SetRate(12.5))]);
    assert_eq!(model.overlay, Overlay::None);
}

#[test]
fn forms_and_questions_are_answered_by_clicks() {
    let mut model = model(scene::normal());
    press(&mut model, KeyCode::Char('o'));
    click(&mut model, "tpot");
    click(&mut model, "ctrl-u: empty it");
    let slo = "ttft=400ms".parse().ok();
    assert_eq!(click(&mut model, "enter: apply"), [Effect::Send(Command::SetSlo(slo))]);
    click(&mut model, "q:quit");
    click(&mut model, "back; the run goes on");
    assert_eq!(model.overlay, Overlay::None);
    click(&mut model, "q:quit");
    assert_eq!(click(&mut model, "finish: send no more"), [Effect::Send(Command::Finish)]);
}

#[test]
fn what_a_dialog_covers_cannot_be_clicked() {
    let mut model = model(scene::normal());
    press(&mut model, KeyCode::Char('?'));
    let (_, targets) = draw(&model, (30, 8));
    let footer: Vec<_> = (0..30).filter_map(|column| targets.at(Position::new(column, 7))).collect();
    assert!(footer.iter().all(|action| matches!(action, Action::Back | Action::Previous | Action::Next)), "{footer:?}");
}

#[test]
fn the_help_scrolls_to_its_end_and_no_further() {
    let mut model = model(scene::normal());
    update(&mut model, Msg::Resized(ratatui::layout::Size { width: 100, height: 30 }));
    press(&mut model, KeyCode::Char('?'));
    for _ in 0..200 {
        press(&mut model, KeyCode::Down);
    }
    let end = text(&draw(&model, (100, 30)).0);
    assert!(end.contains("rows from ┄ up miss the SLO"), "{end}");
    press(&mut model, KeyCode::Up);
    assert_ne!(text(&draw(&model, (100, 30)).0), end, "one key up shows the row above at once");
    // On a larger screen all of it is seen, and there is nowhere to go.
    update(&mut model, Msg::Resized(ratatui::layout::Size { width: 100, height: 90 }));
    press(&mut model, KeyCode::Down);
    assert_eq!(model.overlay, Overlay::Help(0));
}

#[test]
fn a_message_goes_away_with_a_press_of_the_mouse_and_not_with_its_moving() {
    let mut model = model(scene::normal());
    let screen = Rect::new(0, 0, 100, 30);
    let mouse = |model: &mut Model, kind| {
        let event = MouseEvent { kind, column: 0, row: 0, modifiers: KeyModifiers::NONE };
        update(model, Msg::Mouse(event, screen));
    };
    model.notify("no later event");
    mouse(&mut model, MouseEventKind::Moved);
    assert!(model.notice.is_some());
    mouse(&mut model, MouseEventKind::Down(MouseButton::Right));
    assert_eq!(model.notice, None);
}
