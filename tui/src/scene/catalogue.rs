//! Every screen by name.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use engine::cluster::How;
use loadgen::live::{Phase, Snapshot, UnitView};
use loadgen::target::{Abilities, Ways};

use super::{
    aborted, aggregated, ailing, collected, crowded, down, failing, fitted, in_phase, model, normal, predicted,
    predicted_of_processes, recorded, recorded_with_many_events, seconds, served, served_by_engines, shedding,
    shifting, waiting, without_slo,
};
use crate::model::{Model, Offers};
use crate::update::{Msg, update};

/// A screen that can be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Its name.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    /// Makes it.
    pub model: fn() -> Model,
}

/// All of them.
pub const SCREENS: &[Screen] = &[
    Screen { name: "live", about: "a run under way", model: predicted },
    Screen { name: "shifting", about: "a unit on its way to another role", model: || model(shifting()) },
    Screen { name: "waiting", about: "before the first answer", model: || model(waiting()) },
    Screen { name: "down", about: "the target does not answer", model: || model(down()) },
    Screen { name: "shedding", about: "the target takes no more for now", model: || model(shedding()) },
    Screen { name: "failing", about: "some requests fail", model: || model(failing()) },
    Screen { name: "collected", about: "answers come in one piece", model: || model(collected()) },
    Screen { name: "aborted", about: "a rule has ended the load", model: || model(aborted()) },
    Screen { name: "no-slo", about: "no SLO is set", model: || model(without_slo()) },
    Screen { name: "no-control", about: "the target cannot shift, and the screen may not", model: no_control },
    Screen { name: "aggregated", about: "units that do both", model: || model(aggregated()) },
    Screen { name: "crowded", about: "more units than rows", model: || model(crowded()) },
    Screen { name: "ailing", about: "the tool itself is unwell", model: || model(ailing()) },
    Screen { name: "paused", about: "the load is paused", model: || model(in_phase(Phase::Paused)) },
    Screen { name: "unpredicted", about: "a target that nothing is predicted of", model: || model(normal()) },
    Screen { name: "zoom-split", about: "one panel: the split", model: || type_into(predicted(), "\tz") },
    Screen { name: "done", about: "the run is over", model: || model(in_phase(Phase::Done)) },
    Screen { name: "frozen", about: "the picture is held still", model: frozen },
    Screen { name: "past", about: "the cursor is in the past", model: past },
    Screen { name: "heatmap", about: "latencies as heatmaps", model: || after("m") },
    Screen { name: "zoom", about: "one panel: lines and heatmap of TTFT", model: || after("\t\t\t\t\tz") },
    Screen { name: "zoom-units", about: "one panel: the units", model: || after("\t\t\t\tz") },
    Screen { name: "zoom-events", about: "one panel: the events", model: || after("\t\t\tz") },
    Screen { name: "stages", about: "where TTFT goes has the focus", model: || after("\t\t") },
    Screen { name: "zoom-stages", about: "one panel: where TTFT goes, over time", model: || after("\t\tz") },
    Screen { name: "requests", about: "the slowest requests", model: || after("i") },
    Screen { name: "request", about: "where the time of one request went", model: || after("i\n") },
    Screen { name: "request-failed", about: "a request that did not complete", model: || after("io\n") },
    Screen { name: "view", about: "a recording, at the end of the run", model: || recorded(None) },
    Screen { name: "view-past", about: "a recording at an event", model: || viewing("[") },
    Screen { name: "view-playing", about: "a recording being played", model: playing },
    Screen { name: "view-zoomed", about: "a shorter stretch of a recording", model: || viewing("5+m") },
    Screen { name: "view-incomplete", about: "a recording without its end", model: incomplete },
    Screen { name: "view-events", about: "a recording with many events", model: many_events },
    Screen { name: "view-goto", about: "a time to go to", model: || viewing("g1:2") },
    Screen { name: "view-requests", about: "the slowest requests around the cursor", model: || viewing("5i") },
    Screen { name: "view-request", about: "where the time of a recorded request went", model: || viewing("5i\n") },
    Screen { name: "view-help", about: "all keys over a recording", model: || viewing("?") },
    Screen { name: "view-refused", about: "an action that needs a run that goes on", model: || viewing("s") },
    Screen { name: "shift", about: "the shift dialog", model: || type_into(predicted(), "s") },
    Screen { name: "shift-restart", about: "a shift by units that start anew", model: restarting },
    Screen {
        name: "shift-replicas",
        about: "a shift by a control plane that tells no figures of units",
        model: replicas,
    },
    Screen { name: "whatif", about: "what every split would give", model: || type_into(predicted(), "w") },
    Screen { name: "whatif-fitted", about: "the same, by what was fitted", model: || type_into(fitted(), "w") },
    Screen { name: "whatif-shift", about: "a shift of several units", model: several },
    Screen { name: "whatif-none", about: "no prediction yet", model: || after("w") },
    Screen { name: "served", about: "a control plane whose engines tell of themselves", model: || model(served()) },
    Screen {
        name: "served-engines",
        about: "engines that tell of themselves, and of transfers that fail",
        model: || model(served_by_engines()),
    },
    Screen {
        name: "served-units",
        about: "one panel: units that are engines",
        model: || type_into(model(served()), "\t\t\t\tz"),
    },
    Screen {
        name: "served-stages",
        about: "one panel: where TTFT goes, and servers",
        model: || type_into(model(served()), "\t\tz"),
    },
    Screen { name: "slo", about: "the form of the SLO", model: || after("o5") },
    Screen { name: "load", about: "the form of the load", model: || after("l.5") },
    Screen { name: "commands", about: "the command palette", model: || after(":rate") },
    Screen { name: "help", about: "all keys", model: || after("?") },
    Screen { name: "quit", about: "the question before leaving", model: || after("q") },
];

/// The screen of a name.
pub fn screen(name: &str) -> Option<&'static Screen> {
    SCREENS.iter().find(|screen| screen.name == name)
}

/// The plain screen after these keys.
fn after(keys: &str) -> Model {
    type_into(model(normal()), keys)
}

/// The screen over a recording after these keys.
fn viewing(keys: &str) -> Model {
    type_into(recorded(None), keys)
}

fn playing() -> Model {
    let mut model = viewing("3> ");
    for tick in [0.0, 2.0] {
        update(&mut model, Msg::Tick(seconds(tick)));
    }
    model
}

fn incomplete() -> Model {
    recorded(Some("no end record"))
}

fn many_events() -> Model {
    type_into(recorded_with_many_events(), "6")
}

fn type_into(mut model: Model, keys: &str) -> Model {
    for key in keys.chars() {
        let code = match key {
            '\t' => KeyCode::Tab,
            '\n' => KeyCode::Enter,
            letter => KeyCode::Char(letter),
        };
        update(&mut model, Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }
    model
}

fn several() -> Model {
    let mut model = type_into(predicted(), "w");
    for _ in 0..3 {
        update(&mut model, Msg::Key(KeyEvent::from(KeyCode::Down)));
    }
    type_into(model, "\n")
}

fn restarting() -> Model {
    type_into(predicted_of_processes(), "skk")
}

fn replicas() -> Model {
    let mut snapshot = normal();
    snapshot.target = "http://gateway:8000".into();
    snapshot.abilities =
        Abilities { ways: Ways::of(&[How::Drain]), aggregated: false, in_place: false, ..Abilities::ALL };
    let units = snapshot.units.iter().map(|unit| UnitView { measured: false, ..*unit });
    snapshot.units = Arc::new(units.collect());
    type_into(model(snapshot), "s")
}

fn no_control() -> Model {
    let offers =
        Offers { shift_refused: Some("not offered by this server".to_owned()), rate_refused: None, read_only: true };
    let mut model = Model::new(Arc::new(normal()), offers);
    update(&mut model, Msg::Key(KeyEvent::from(KeyCode::Char('s'))));
    model
}

fn frozen() -> Model {
    let mut model = after(" ");
    let later = Snapshot { now: seconds(163.0), ..shifting() };
    update(&mut model, Msg::Snapshot(Arc::new(later)));
    model
}

/// At the event before the last, while the run goes on.
fn past() -> Model {
    let mut model = after("[[");
    let later = Snapshot { now: seconds(163.0), ..shifting() };
    update(&mut model, Msg::Snapshot(Arc::new(later)));
    model
}
