//! Where the snapshots come from: a run that goes on, or a recording. Everything else on the screen is the same for both.

use std::sync::Arc;

use loadgen::diagnose::diagnose;
use loadgen::live::{Event, Recent, Snapshot};
use loadgen::playback::Playback;
use loadgen::recording::Incomplete;
use loadgen::time::Micros;

use super::Player;

/// Where the snapshots come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A run that goes on.
    Live,
    /// A recording.
    Recording(Recording),
}

/// A recording on the screen.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The name of its file, without the folder.
    pub name: String,
    /// Why it does not tell how its run ended, if it does not, in a few words.
    pub incomplete: Option<String>,
    /// Records that this version does not know.
    pub unknown: u64,
    /// What plays it.
    pub player: Player,
    /// The mouse button went down on the scrub bar, and is still down.
    pub dragging: bool,
    /// The run at its end with the figures of the whole run in place of those of its last seconds.
    whole: Arc<Snapshot>,
}

impl Recording {
    /// Of a run that ended as `last`, with these figures for the whole of it.
    pub fn new(name: impl Into<String>, incomplete: Option<String>, last: &Snapshot, whole: &Recent) -> Self {
        Self {
            name: name.into(),
            incomplete,
            unknown: 0,
            player: Player::default(),
            dragging: false,
            whole: Arc::new(Snapshot {
                // Of the whole run no unit has been in one state: the latencies alone say what limited it.
                diagnosis: diagnose(&[], whole, last.slo, 0),
                recent: *whole,
                ..last.clone()
            }),
        }
    }

    /// Of a file of this name.
    pub fn of(playback: &Playback, name: impl Into<String>) -> Self {
        let incomplete = playback.incomplete.map(|why| match why {
            Incomplete::NoEnd => "no end record".to_owned(),
            Incomplete::Torn => "no end record, torn inside another".to_owned(),
        });
        let recording = Self::new(name, incomplete, &playback.last, &playback.whole_run());
        Self { unknown: playback.unknown, ..recording }
    }

    /// The run with the figures of the whole of it.
    pub fn whole(&self) -> &Snapshot {
        &self.whole
    }

    /// The end of the run.
    pub fn end(&self) -> Micros {
        self.whole.now
    }
}

/// The events that stand in the charts, oldest first: the scrub bar numbers them from 1.
pub fn marks(shown: &Snapshot) -> impl DoubleEndedIterator<Item = &Event> {
    shown.events.iter().filter(|event| event.mark.is_some())
}
