//! The state of the live screen. Only `update` changes it; views read it.

pub mod rate;
pub mod shift;

use std::sync::Arc;

use loadgen::live::{Phase, Snapshot};
use loadgen::time::Micros;

pub use shift::{Move, ShiftDialog};

/// What is open on top of the live screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// All keys.
    Help,
    /// Whether to leave while the load runs.
    Quit,
    /// Which unit to move.
    Shift(ShiftDialog),
}

/// What the run's target cannot do, with the reason the operator reads when trying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Why roles cannot be changed, such as "not offered by this server".
    pub shift_refused: Option<String>,
    /// Why the rate cannot be changed, such as "the arrivals come from a trace".
    pub rate_refused: Option<String>,
}

/// A short message in place of the footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it says.
    pub text: String,
    /// The instant of the run at which it goes away.
    pub until: Micros,
}

/// A rate that was asked for and is not in the snapshots yet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AskedRate {
    /// Requests per second.
    pub rps: f64,
    /// The instant of the run at which it is forgotten if nothing came of it.
    pub until: Micros,
}

/// How much time the charts show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    /// The last minute.
    One,
    /// The last two minutes.
    #[default]
    Two,
    /// The last five minutes.
    Five,
    /// The last quarter of an hour.
    Fifteen,
    /// The last hour.
    Sixty,
}

impl Span {
    /// The next longer one; after the longest, the shortest.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::One => Self::Two,
            Self::Two => Self::Five,
            Self::Five => Self::Fifteen,
            Self::Fifteen => Self::Sixty,
            Self::Sixty => Self::One,
        }
    }

    /// In minutes.
    pub fn minutes(self) -> u64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Five => 5,
            Self::Fifteen => 15,
            Self::Sixty => 60,
        }
    }

    /// As a duration.
    pub fn length(self) -> Micros {
        Micros(self.minutes() * 60_000_000)
    }
}

/// Everything the live screen knows.
#[derive(Clone, Debug)]
pub struct Model {
    /// The newest snapshot of the run.
    pub latest: Arc<Snapshot>,
    /// The snapshot that is held still, if one is.
    pub frozen: Option<Arc<Snapshot>>,
    /// What is open on top.
    pub overlay: Overlay,
    /// The message in place of the footer.
    pub notice: Option<Notice>,
    /// A rate that the run has not confirmed yet.
    pub asked_rate: Option<AskedRate>,
    /// How much time the charts show.
    pub span: Span,
    /// What the target cannot do.
    pub offers: Offers,
    /// Leave as soon as the run is done.
    pub leaving: bool,
    /// No further snapshot will come.
    pub ended: bool,
}

impl Model {
    /// The screen as it starts.
    pub fn new(first: Arc<Snapshot>, offers: Offers) -> Self {
        Self {
            latest: first,
            frozen: None,
            overlay: Overlay::None,
            notice: None,
            asked_rate: None,
            span: Span::default(),
            offers,
            leaving: false,
            ended: false,
        }
    }

    /// The snapshot to draw.
    pub fn shown(&self) -> &Snapshot {
        self.frozen.as_ref().unwrap_or(&self.latest)
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
        self.ended || self.latest.phase == Phase::Done
    }

    /// Puts a message in place of the footer for a few seconds of the run.
    pub fn notify(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), until: self.latest.now + Micros(6_000_000) });
    }
}
