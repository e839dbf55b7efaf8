//! The run of the script, recorded.

use std::sync::Arc;

use loadgen::live::{MarkKind, Phase, Recent, Snapshot};

use super::states::events;
use super::{Script, event, seconds};
use crate::model::{Model, Recording};

/// The screen over a recording of the run, complete or not.
pub fn recorded(incomplete: Option<&str>) -> Model {
    let (run, whole) = Script::default().run_and_whole();
    let phase = if incomplete.is_some() { Phase::Loading } else { Phase::Done };
    let last = Snapshot { events: Arc::new(events()), phase, ..run };
    view(&last, incomplete, &whole)
}

/// Ten minutes with more events than the legend of the scrub bar has room for.
pub fn recorded_with_many_events() -> Model {
    let (run, whole) = Script { seconds: 600, turn: 300, ..Script::default() }.run_and_whole();
    let rates = (1..26).map(|i| event(f64::from(i) * 23.0, Some(MarkKind::Load), &format!("{i}/s"), "requests/s"));
    let last = Snapshot { events: Arc::new(rates.collect()), phase: Phase::Done, now: seconds(600.0), ..run };
    view(&last, None, &whole)
}

fn view(last: &Snapshot, incomplete: Option<&str>, whole: &Recent) -> Model {
    let name = if incomplete.is_some() { "chat.jsonl.zst.partial" } else { "chat.jsonl.zst" };
    let recording = Recording::new(name, incomplete.map(str::to_owned), last, whole);
    Model::viewing(Arc::new(last.clone()), recording)
}
