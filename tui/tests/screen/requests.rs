//! The list of slow requests and the timeline of one.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};
use loadgen::live::Snapshot;
use loadgen::request::Order;
use tui::model::{Model, Overlay, Requests};
use tui::scene::{self, model};
use tui::update::{Msg, update};

use crate::fixture::{render, text};

fn press(model: &mut Model, code: KeyCode) {
    assert_eq!(update(model, Msg::Key(KeyEvent::from(code))), [], "looking asks nothing of the run");
}

fn list(model: &Model) -> &Requests {
    let Overlay::Requests(list) = &model.overlay else { panic!("the list is open") };
    list
}

#[test]
fn the_list_has_the_slowest_of_the_charts_first_by_each_latency() {
    let mut model = model(scene::normal());
    press(&mut model, KeyCode::Char('i'));
    for order in Order::ALL {
        let list = list(&model);
        assert_eq!((list.order, list.selected), (order, 0));
        let keys: Vec<_> = list.lines().iter().map(|line| line.key(order)).collect();
        assert!(keys.len() > 20 && keys.iter().all(Option::is_some));
        assert!(keys.windows(2).all(|pair| pair[0] >= pair[1]), "{order:?}");
        let axis = model.axis();
        assert!(list.lines().iter().all(|line| axis.from <= line.ended && line.ended <= axis.to));
        press(&mut model, KeyCode::Down);
        press(&mut model, KeyCode::Char('o'));
    }
    assert_eq!(list(&model).order, Order::Ttft, "round");
}

#[test]
fn at_the_cursor_the_list_is_of_the_window_that_ends_there() {
    let mut model = model(scene::normal());
    for code in [KeyCode::Char('['), KeyCode::Char('['), KeyCode::Char('i')] {
        press(&mut model, code);
    }
    let (from, to) = list(&model).window;
    assert_eq!((to, to.since(from)), (model.here().now, model.here().recent.window));
    assert!(!list(&model).lines().is_empty());
    assert!(list(&model).lines().iter().all(|line| line.ended < to));
}

#[test]
fn enter_opens_a_request_and_esc_leads_back_step_by_step() {
    let mut model = model(scene::normal());
    for code in [KeyCode::Char('i'), KeyCode::Down, KeyCode::Down, KeyCode::Enter] {
        press(&mut model, code);
    }
    let index = list(&model).chosen().map(|line| line.index).expect("a request");
    assert!(text(&render(&model, 100, 30)).contains(&format!("REQUEST {index} 3 of")));
    press(&mut model, KeyCode::Down);
    assert!(text(&render(&model, 100, 30)).contains(" 4 of "), "the next one without going back");
    press(&mut model, KeyCode::Esc);
    assert_eq!((list(&model).opened, list(&model).selected), (false, 3));
    press(&mut model, KeyCode::Esc);
    assert_eq!(model.overlay, Overlay::None);
}

#[test]
fn the_list_holds_still_while_the_run_goes_on() {
    let mut model = model(scene::normal());
    press(&mut model, KeyCode::Char('i'));
    let before = model.overlay.clone();
    update(&mut model, Msg::Snapshot(Arc::new(Snapshot { now: scene::seconds(163.0), ..scene::shifting() })));
    assert_eq!(model.overlay, before);
}

#[test]
fn before_the_first_answer_there_is_no_list_and_the_reason_is_said() {
    let mut model = model(scene::waiting());
    press(&mut model, KeyCode::Char('i'));
    assert_eq!(model.overlay, Overlay::None);
    let notice = model.notice.expect("a reason");
    assert_eq!(notice.text, "slowest requests: no request is over yet");
}

#[test]
fn the_column_of_e2e_has_what_the_list_is_ordered_by() {
    let mut model = model(scene::normal());
    press(&mut model, KeyCode::Char('i'));
    let line = list(&model).lines().iter().find(|line| line.outcome.is_completed()).expect("one that completed");
    // The server went on for seven seconds behind its last token.
    let mut line = line.as_ref().clone();
    (line.due, line.last, line.ended) = (scene::seconds(1.0), Some(scene::seconds(3.0)), scene::seconds(10.0));
    let window = (scene::seconds(0.0), scene::seconds(20.0));
    model.overlay = Overlay::Requests(Requests::new(vec![Arc::new(line)], window));
    let drawn = text(&render(&model, 100, 30));
    assert!(drawn.contains(" 2.0s ") && !drawn.contains(" 9.0s "), "{drawn}");
}
