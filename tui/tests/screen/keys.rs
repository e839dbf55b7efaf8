//! Keys: what each does to the model, and what it asks of the shell.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use engine::cluster::How;
use engine::units::{Role, Split};
use loadgen::diagnose::Limit;
use loadgen::live::{Command, Phase, Snapshot};
use loadgen::schedule::Shape;
use loadgen::target::{Abilities, Ways, cpu};
use loadgen::workload::Lengths;
use tui::model::shift::Choice;
use tui::model::{Model, Offers, Overlay};
use tui::update::{Effect, Exit, Msg, update};

use tui::scene::{self, model};

fn press(model: &mut Model, key: char) -> Vec<Effect> {
    update(model, Msg::Key(KeyEvent::from(KeyCode::Char(key))))
}

fn press_code(model: &mut Model, code: KeyCode) -> Vec<Effect> {
    update(model, Msg::Key(KeyEvent::from(code)))
}

fn control_c(model: &mut Model) -> Vec<Effect> {
    update(model, Msg::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)))
}

/// The plain screen with prefill as the limiting side.
fn limited() -> Model {
    let mut snapshot = scene::normal();
    snapshot.diagnosis.limit = Limit::Prefill;
    model(snapshot)
}

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

#[test]
fn each_key_of_the_live_screen_asks_for_what_its_hint_says() {
    let table: [(char, &[Effect]); 14] = [
        ('+', &[Effect::Send(Command::SetRate(20.0))]),
        ('=', &[Effect::Send(Command::SetRate(20.0))]),
        ('-', &[Effect::Send(Command::SetRate(12.5))]),
        ('p', &[Effect::Send(Command::Pause)]),
        (' ', &[]),
        ('m', &[]),
        ('z', &[]),
        (':', &[]),
        ('[', &[]),
        ('M', &[Effect::Mouse(false)]),
        ('s', &[]),
        ('?', &[]),
        ('q', &[]),
        ('x', &[]),
    ];
    for (key, effects) in table {
        assert_eq!(press(&mut model(scene::normal()), key), effects, "{key}");
    }
}

#[test]
fn the_rate_climbs_from_what_was_asked_and_not_from_what_arrived() {
    let mut model = model(scene::normal());
    press(&mut model, '+');
    assert_eq!(press(&mut model, '+'), [Effect::Send(Command::SetRate(25.0))]);
    assert_eq!(model.asked_rate.map(|asked| asked.rps), Some(25.0));
    update(&mut model, Msg::Snapshot(Arc::new(Snapshot { rate_rps: 25.0, ..scene::normal() })));
    assert_eq!(model.asked_rate, None, "the run has confirmed it");
}

#[test]
fn a_rate_that_never_arrives_is_forgotten() {
    let mut model = model(scene::normal());
    press(&mut model, '+');
    update(&mut model, Msg::Snapshot(Arc::new(Snapshot { now: scene::seconds(157.0), ..scene::normal() })));
    assert_eq!(model.asked_rate, None);
}

#[test]
fn pause_resumes_once_the_run_says_that_it_is_paused() {
    let mut model = model(scene::in_phase(Phase::Paused));
    assert_eq!(press(&mut model, 'p'), [Effect::Send(Command::Resume)]);
}

#[test]
fn freezing_holds_the_picture_while_the_run_goes_on() {
    let mut model = model(scene::normal());
    press(&mut model, ' ');
    update(&mut model, Msg::Snapshot(Arc::new(Snapshot { now: scene::seconds(163.0), ..scene::normal() })));
    assert_eq!(model.shown().now, scene::seconds(151.0));
    assert_eq!(model.frozen_for(), Some(scene::seconds(12.0)));
    assert_eq!(press(&mut model, '+'), [Effect::Send(Command::SetRate(20.0))], "control goes on");
    press(&mut model, ' ');
    assert_eq!(model.shown().now, scene::seconds(163.0));
}

#[test]
fn the_shift_dialog_starts_on_a_move_towards_the_limiting_side_and_enter_cancels() {
    for (leave, effects) in [(KeyCode::Enter, 0), (KeyCode::Esc, 0), (KeyCode::Char('y'), 1)] {
        let mut model = limited();
        press(&mut model, 's');
        let Overlay::Shift(dialog) = model.overlay else { panic!("the dialog is open") };
        assert_eq!(dialog.selected, Choice::Step(Role::Decode, Role::Prefill));
        assert_eq!(press_code(&mut model, leave).len(), effects, "{leave:?}");
        assert_eq!(model.overlay, Overlay::None);
    }
}

#[test]
fn the_chosen_move_and_way_are_what_is_sent() {
    let mut model = limited();
    press(&mut model, 's');
    press_code(&mut model, KeyCode::Up);
    press(&mut model, 'k');
    assert_eq!(press(&mut model, 'y'), [Effect::Send(Command::Shift(split("1P3D"), How::Migrate))]);
}

#[test]
fn restarting_is_a_way_where_units_are_processes() {
    let ways = |abilities: Abilities| {
        let mut snapshot = scene::normal();
        snapshot.abilities = abilities;
        let mut model = model(snapshot);
        press(&mut model, 's');
        [(); 4].map(|()| {
            press(&mut model, 'k');
            let Overlay::Shift(dialog) = model.overlay else { panic!("the dialog is open") };
            dialog.how
        })
    };
    let (drain, migrate, restart) = (How::Drain, How::Migrate, How::Restart);
    assert_eq!(ways(Abilities::ALL), [migrate, restart, drain, migrate]);
    assert_eq!(ways(cpu::ABILITIES), [migrate, drain, migrate, drain]);
    assert_eq!(ways(Abilities { ways: Ways::of(&[How::Drain]), ..Abilities::ALL }), [drain; 4]);
}

#[test]
fn a_restart_that_would_leave_nobody_meanwhile_is_refused_before_it_is_asked_for() {
    let mut snapshot = scene::normal();
    (snapshot.abilities, snapshot.split) = (Abilities::ALL, split("1P1D"));
    snapshot.units = Arc::new(snapshot.units[1..3].to_vec());
    let mut model = model(snapshot);
    press(&mut model, 's');
    // The last move: the decode unit is to do both.
    for _ in 0..5 {
        press_code(&mut model, KeyCode::Down);
    }
    press(&mut model, 'k');
    press(&mut model, 'k');
    assert_eq!(press(&mut model, 'y'), []);
    let notice = model.notice.take().expect("a reason").text;
    assert!(notice.contains("no unit that can decode while one is down"), "{notice}");
    press(&mut model, 'k');
    assert_eq!(press(&mut model, 'y'), [Effect::Send(Command::Shift(split("1P1A"), How::Drain))]);
}

#[test]
fn an_impossible_move_is_refused_with_its_reason_and_the_dialog_stays() {
    let mut snapshot = scene::normal();
    snapshot.split = split("1P1D");
    snapshot.units = Arc::new(snapshot.units[1..3].to_vec());
    let mut model = model(snapshot);
    press(&mut model, 's');
    for _ in 0..5 {
        press_code(&mut model, KeyCode::Up);
    }
    assert_eq!(press(&mut model, 'y'), []);
    assert!(matches!(model.overlay, Overlay::Shift(_)));
    let notice = model.notice.expect("a reason").text;
    assert!(notice.contains("no unit that can prefill"), "{notice}");
}

#[test]
fn the_selected_move_survives_a_change_of_the_list() {
    let mut model = limited();
    press(&mut model, 's');
    let fewer = scene::with_units(
        split("1P3D"),
        vec![
            scene::unit(0, Role::Prefill, 0.9),
            scene::unit(1, Role::Decode, 0.5),
            scene::unit(2, Role::Decode, 0.5),
            scene::unit(3, Role::Decode, 0.5),
        ],
    );
    update(&mut model, Msg::Snapshot(Arc::new(fewer)));
    assert_eq!(press(&mut model, 'y'), [Effect::Send(Command::Shift(split("2P2D"), How::Drain))]);
}

#[test]
fn a_further_shift_starts_from_where_the_waiting_ones_lead() {
    let mut model = model(scene::shifting());
    press(&mut model, 's');
    assert_eq!(press(&mut model, 'y'), [Effect::Send(Command::Shift(split("1P3D"), How::Drain))]);
}

#[test]
fn what_cannot_be_done_says_why() {
    let offers = Offers {
        shift_refused: Some("not offered by this server".to_owned()),
        rate_refused: Some("the arrivals come from a trace".to_owned()),
        ..Offers::default()
    };
    let snapshot = Arc::new(scene::normal());
    for (key, reason) in [('s', "not offered by this server"), ('+', "the arrivals come from a trace")] {
        let mut model = Model::new(Arc::clone(&snapshot), offers.clone());
        assert_eq!(press(&mut model, key), []);
        assert!(model.notice.expect("a reason").text.ends_with(reason));
    }
    for (phase, key) in [(Phase::Done, 'p'), (Phase::Finishing, '+'), (Phase::Done, 's')] {
        let mut model = model(scene::in_phase(phase));
        assert_eq!(press(&mut model, key), []);
        assert!(model.notice.is_some(), "{phase:?} {key}");
    }
}

#[test]
fn quit_asks_while_the_load_runs_and_not_afterwards() {
    let stop = [Effect::Send(Command::Abort), Effect::Leave(Exit::Stopped)];
    let mut running = model(scene::normal());
    assert_eq!(press(&mut running, 'q'), []);
    assert_eq!(press(&mut running, 'q'), stop);
    let mut over = model(scene::in_phase(Phase::Done));
    assert_eq!(press(&mut over, 'q'), [Effect::Leave(Exit::Done)]);
}

#[test]
fn finishing_waits_for_the_run_to_be_done() {
    let mut model = model(scene::normal());
    press(&mut model, 'q');
    assert_eq!(press(&mut model, 'f'), [Effect::Send(Command::Finish)]);
    assert_eq!(update(&mut model, Msg::Snapshot(Arc::new(scene::in_phase(Phase::Finishing)))), []);
    assert_eq!(update(&mut model, Msg::Snapshot(Arc::new(scene::in_phase(Phase::Done)))), [Effect::Leave(Exit::Done)]);
}

#[test]
fn the_first_interrupt_finishes_and_the_second_leaves_wherever_one_is() {
    for open in [' ', 's', '?', 'q'] {
        let mut model = model(scene::normal());
        press(&mut model, open);
        assert_eq!(control_c(&mut model), [Effect::Send(Command::Finish)], "{open}");
        assert_eq!(
            update(&mut model, Msg::Interrupt),
            [Effect::Send(Command::Abort), Effect::Leave(Exit::Stopped)],
            "{open}"
        );
    }
}

#[test]
fn being_told_to_terminate_leaves_at_once() {
    let mut model = model(scene::normal());
    assert_eq!(update(&mut model, Msg::Terminate), [Effect::Send(Command::Abort), Effect::Leave(Exit::Terminated)]);
}

#[test]
fn a_command_that_was_not_delivered_is_shown_until_it_is_old() {
    let mut model = model(scene::normal());
    press(&mut model, '+');
    update(&mut model, Msg::Undelivered(Command::SetRate(20.0)));
    assert!(model.notice.as_ref().is_some_and(|notice| notice.text.starts_with("not done: rate 20/s")));
    assert_eq!(model.asked_rate, None);
    // By the time of the screen: a run may be over, and a recording stands still.
    for (at, is_shown) in [(100.0, true), (105.9, true), (106.0, false)] {
        update(&mut model, Msg::Tick(scene::seconds(at)));
        assert_eq!((model.notice.is_some(), model.is_moving()), (is_shown, is_shown), "{at} s");
    }
}

#[test]
fn a_run_that_ends_without_a_word_can_be_left_without_a_question() {
    let mut model = model(scene::normal());
    assert_eq!(update(&mut model, Msg::Ended), []);
    assert_eq!(press(&mut model, 'q'), [Effect::Leave(Exit::Done)]);
}

#[test]
fn a_read_only_screen_looks_but_changes_nothing_of_the_run() {
    let offers = Offers { read_only: true, ..Offers::default() };
    let mut model = Model::new(Arc::new(scene::normal()), offers);
    for key in ['s', '+', '-', 'p', 'o', 'l'] {
        assert_eq!(press(&mut model, key), [], "{key}");
        assert!(model.notice.as_ref().is_some_and(|notice| notice.text.ends_with("read-only")), "{key}");
    }
    press(&mut model, 'm');
    press(&mut model, '[');
    assert!(model.look.heat && model.timeline.cursor().is_some());
}

#[test]
fn the_slo_and_the_load_are_edited_in_forms() {
    let mut model = model(scene::normal());
    press(&mut model, 'o');
    update(&mut model, Msg::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
    for letter in "80".chars() {
        press(&mut model, letter);
    }
    assert_eq!(press_code(&mut model, KeyCode::Enter), [], "80 of what?");
    assert!(matches!(model.overlay, Overlay::Form(_)));
    for letter in "0ms".chars() {
        press(&mut model, letter);
    }
    let slo = "ttft=800ms,tpot=25ms".parse().ok();
    assert_eq!(press_code(&mut model, KeyCode::Enter), [Effect::Send(Command::SetSlo(slo))]);

    press(&mut model, 'l');
    press(&mut model, '0');
    press_code(&mut model, KeyCode::Down);
    press_code(&mut model, KeyCode::Down);
    update(&mut model, Msg::Key(KeyEvent::new(KeyCode::Char('u'), KeyModifiers::CONTROL)));
    for letter in "64".chars() {
        press(&mut model, letter);
    }
    let shape = Shape { isl: Lengths::Fixed(64), ..scene::normal().shape.expect("drawn") };
    let asked = [Effect::Send(Command::SetRate(150.0)), Effect::Send(Command::Reshape(shape))];
    assert_eq!(press_code(&mut model, KeyCode::Enter), asked);
    assert_eq!(model.asked_rate.map(|asked| asked.rps), Some(150.0));
    assert_eq!(model.overlay, Overlay::None);
}
