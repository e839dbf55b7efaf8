//! The state of the screen, over a run that goes on or over a recording. Only `update` changes it; views read it.

pub mod form;
pub mod palette;
pub mod panel;
pub mod player;
pub mod rate;
pub mod requests;
pub mod shift;
pub mod source;
pub mod timeline;
pub mod whatif;

use std::sync::Arc;

use loadgen::live::{Phase, Snapshot};
use loadgen::time::Micros;
use loadgen::whatif::{Outlook, PastAsk, WhatIf};
use ratatui::layout::Size;

use crate::chart::TimeAxis;

pub use form::Form;
pub use palette::Palette;
pub use panel::Panel;
pub use player::{Player, Speed};
pub use requests::Requests;
pub use shift::{Move, ShiftDialog};
pub use source::{Recording, Source};
pub use timeline::{Span, Timeline};
pub use whatif::WhatIfScreen;

/// What is open on top of the live screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// All keys, from this row on.
    Help(usize),
    /// Whether to leave while the load runs.
    Quit,
    /// What every split would give.
    WhatIf(WhatIfScreen),
    /// Which unit to move.
    Shift(ShiftDialog),
    /// All actions by name.
    Palette(Palette),
    /// Values to type.
    Form(Form),
    /// The slowest requests, or one of them.
    Requests(Requests),
}

/// What cannot be done, with the reason the operator reads when trying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Why roles cannot be changed, such as "not offered by this server".
    pub shift_refused: Option<String>,
    /// Why the rate cannot be changed, such as "the arrivals come from a trace".
    pub rate_refused: Option<String>,
    /// The operator may look, but not change the run.
    pub read_only: bool,
}

/// A short message in place of the footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it says.
    pub text: String,
    /// When it goes away, on the clock of the frames; not known before the first frame that shows it.
    pub until: Option<Micros>,
}

/// For how long a message stands in place of the footer, if no key is pressed.
const NOTICE: Micros = Micros(6_000_000);

/// A rate that was asked for and is not in the snapshots yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AskedRate {
    /// Requests per second.
    pub rps: f64,
    /// The instant of the run at which it is forgotten if nothing came of it.
    pub until: Micros,
}

/// How the operator looks at the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Whether the panel in focus has the whole screen.
    pub zoomed: bool,
    /// Whether latencies are shown as heatmaps.
    pub heat: bool,
    /// Whether the mouse is ours; otherwise the terminal selects text with it.
    pub mouse: bool,
}

/// Everything the screen knows.
#[derive(Clone, Debug)]
pub struct Model {
    /// Where the snapshots come from.
    pub source: Source,
    /// The newest snapshot of the run; of a recording, the last one.
    pub latest: Arc<Snapshot>,
    /// What other splits would give, by the newest prediction.
    pub outlook: Arc<Outlook>,
    /// The snapshot that is held still, if one is.
    pub frozen: Option<Arc<Snapshot>>,
    /// What is open on top.
    pub overlay: Overlay,
    /// The message in place of the footer.
    pub notice: Option<Notice>,
    /// A rate that the run has not confirmed yet.
    pub asked_rate: Option<AskedRate>,
    /// The axis of the charts, and the cursor on it.
    pub timeline: Timeline,
    /// The panel in focus.
    pub focus: Panel,
    /// How it is looked at.
    pub look: Look,
    /// The size of the screen.
    pub screen: Size,
    /// What cannot be done.
    pub offers: Offers,
    /// Leave as soon as the run is done.
    pub leaving: bool,
    /// No further snapshot will come.
    pub ended: bool,
    /// Of which instant of a recording `outlook` is to tell.
    pub hindsight: Option<PastAsk>,
    /// The run at the cursor, while there is one.
    at_cursor: Option<Arc<Snapshot>>,
}

impl Model {
    /// The screen as it starts.
    pub fn new(first: Arc<Snapshot>, offers: Offers) -> Self {
        Self {
            source: Source::Live,
            latest: first,
            outlook: Arc::default(),
            frozen: None,
            overlay: Overlay::None,
            notice: None,
            asked_rate: None,
            timeline: Timeline::default(),
            focus: Panel::default(),
            look: Look { zoomed: false, heat: false, mouse: true },
            screen: Size::default(),
            offers,
            leaving: false,
            ended: false,
            hindsight: None,
            at_cursor: None,
        }
    }

    /// The screen over a recording whose run ended as `last`. It starts with the whole run in view, and its figures.
    pub fn viewing(last: Arc<Snapshot>, recording: Recording) -> Self {
        let timeline = Timeline::over(last.now);
        Self { source: Source::Recording(recording), timeline, ..Self::new(last, Offers::default()) }
    }

    /// The recording, if it is one.
    pub fn recording(&self) -> Option<&Recording> {
        match &self.source {
            Source::Live => None,
            Source::Recording(recording) => Some(recording),
        }
    }

    /// The same, to be played.
    pub(crate) fn recording_mut(&mut self) -> Option<&mut Recording> {
        match &mut self.source {
            Source::Live => None,
            Source::Recording(recording) => Some(recording),
        }
    }

    /// Whether the screen changes with time alone, without a snapshot or a key.
    pub fn is_moving(&self) -> bool {
        self.notice.is_some() || self.recording().is_some_and(|recording| recording.player.is_playing())
    }

    /// The snapshot to draw: its history and events are those of the charts.
    pub fn shown(&self) -> &Snapshot {
        self.frozen.as_ref().unwrap_or(&self.latest)
    }

    /// The snapshot whose figures the panels show: that of the cursor, or else the one that is drawn, in a recording with
    /// the figures of the whole run.
    pub fn here(&self) -> &Snapshot {
        let without_cursor = || self.recording().map_or_else(|| self.shown(), Recording::whole);
        self.at_cursor.as_deref().unwrap_or_else(without_cursor)
    }

    /// The snapshot that warnings speak of: what a recording warned of is past, like the rest of it.
    pub fn standing(&self) -> &Snapshot {
        if self.recording().is_some() { self.here() } else { &self.latest }
    }

    /// The newest prediction for the split that serves and the SLO that stands, whatever is shown: what a decision needs. Of
    /// a recording, that for the cursor.
    pub fn forecast(&self) -> Option<&WhatIf> {
        let standing = self.standing();
        let fits = |of: &&WhatIf| of.now == standing.split && Some(of.slo) == standing.slo;
        self.outlook.prediction.as_deref().filter(fits)
    }

    /// The same where what is shown is the present: the past has no prediction.
    pub fn prediction(&self) -> Option<&WhatIf> {
        let is_now = self.recording().is_none() && self.frozen.is_none() && self.timeline.cursor().is_none();
        self.forecast().filter(|_| is_now)
    }

    /// What predictions of a recording would have to be of: the cursor, or the end of the run.
    pub fn asked_of_the_past(&self) -> Option<PastAsk> {
        let (recording, here) = (self.recording()?, self.here());
        let at = self.timeline.cursor().unwrap_or(recording.end());
        matches!(self.overlay, Overlay::WhatIf(_)).then_some(PastAsk { at, split: here.split, slo: here.slo })
    }

    /// Whether the cursor was put at a second that was not over then: what it was like is not known before it is.
    pub fn is_ahead(&self) -> bool {
        let known = self.here().history.last().map_or(Micros::ZERO, |slot| slot.start + slot.length);
        self.timeline.cursor().is_some_and(|at| at >= known)
    }

    /// The time axis of all charts.
    pub fn axis(&self) -> TimeAxis {
        self.timeline.axis(self.shown().now)
    }

    /// Moves the axis or the cursor, and looks up what the run was like there.
    pub fn scrub(&mut self, change: impl FnOnce(&mut Timeline, Micros)) {
        let now = self.shown().now;
        change(&mut self.timeline, now);
        self.at_cursor = self.timeline.cursor().map(|at| Arc::new(self.shown().at(at)));
    }

    /// For how long the picture has been held still.
    pub fn frozen_for(&self) -> Option<Micros> {
        self.frozen.as_ref().map(|held| self.latest.now.since(held.now))
    }

    /// Whether nothing more will be sent.
    pub fn is_over(&self) -> bool {
        self.is_gone() || self.latest.phase == Phase::Finishing
    }

    /// Whether the run is done or out of reach.
    pub fn is_gone(&self) -> bool {
        self.recording().is_some() || self.ended || self.latest.phase == Phase::Done
    }

    /// Puts a message in place of the footer for a few seconds.
    pub fn notify(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), until: None });
    }

    /// Takes a message away that has stood for long enough.
    pub(crate) fn expire_notice(&mut self, now: Micros) {
        self.notice.take_if(|notice| *notice.until.get_or_insert(now + NOTICE) <= now);
    }
}
