//! The seams to the outside: where requests go, what comes back, and how roles are changed.
//!
//! A [`Connection`] is opened once per run, and used by two threads: the pacing thread sends; the observing thread reads
//! events, looks at the cluster and asks for shifts. Neither may be kept waiting, so what becomes of a request or of a shift
//! is told by events. All instants are on the run's clock; the conversion happens here, once.

mod abilities;
pub mod cpu;
pub mod embedded;
pub mod grpc;
pub mod http;
pub mod null;
mod remote;
pub mod sim;
pub mod vllm;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use engine::cluster::{How, ShiftId, ShiftReport, UnitState};
use engine::units::{Role, Split, UnitId};

use crate::clock::RunClock;
use crate::control::read_only::ReadOnly;
use crate::live::UnitView;
use crate::metrics::Metrics;
use crate::sample::{Account, Outcome, ServerSide};
use crate::schedule::SaidText;
use crate::time::Micros;
use crate::whatif::UnitTerms;

pub use abilities::{Abilities, Ways};
pub use remote::ClientSide;

/// What a target can take. Requests beyond it are refused or clamped before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetLimits {
    /// Longest sequence, prompt and answer together.
    pub context_tokens: u32,
    /// Longest sequence that one unit's KV can hold.
    pub kv_tokens: u32,
    /// Token ids run from 0 to this, exclusive.
    pub vocabulary: u32,
}

/// What a target is, as it is shown and recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetInfo {
    /// As the user names it, without secrets: `cpu`, `http://127.0.0.1:8080`.
    pub name: String,
    /// The model it serves.
    pub model: String,
    /// The split at the start of the run, where the target tells.
    pub split: Option<Split>,
    /// What it can take.
    pub limits: TargetLimits,
    /// Whatever else a recording should keep of it, by name.
    pub facts: BTreeMap<String, String>,
}

/// A request on its way out.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// Its number in the schedule.
    pub index: u64,
    /// Token ids of its prompt, but for what is in `said`.
    pub prompt: Arc<[u32]>,
    /// Answers of earlier turns as the target told them, where it tells text: parts of the prompt, between its tokens.
    pub said: Arc<[SaidText]>,
    /// Tokens that its answer shall have.
    pub output_tokens: u32,
    /// Whether a turn follows that repeats its answer: a target that tells no ids then tells its text.
    pub is_repeated: bool,
}

impl Dispatch {
    /// A request that follows no other and is followed by none.
    pub fn alone(index: u64, prompt: Arc<[u32]>, output_tokens: u32) -> Self {
        Self { index, prompt, said: Arc::default(), output_tokens, is_repeated: false }
    }
}

/// A limit was reached; the request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shed {
    /// The target's queue towards the outside is full.
    #[error("the target's inbox is full")]
    InboxFull,
    /// As many requests as allowed are in flight.
    #[error("too many requests are in flight")]
    TooMany,
    /// The target has stopped.
    #[error("the target has stopped")]
    Stopped,
}

/// Something the target reported.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetEvent {
    /// The bytes of a request were handed to the socket. Told by remote targets alone, before anything else of the request;
    /// never told when it could not be sent at all.
    Sent {
        /// Which.
        index: u64,
        /// When.
        at: Micros,
    },
    /// A token arrived. Tokens of one request with the same `at` arrived together.
    Token {
        /// Whose.
        index: u64,
        /// When.
        at: Micros,
        /// The token, where the target tells ids.
        token: Option<u32>,
        /// Digest of the logits behind it, 0 where unknown.
        logits_digest: u64,
    },
    /// The text of an answer that a turn repeats. Told before the end of an answer of a target that is sent text.
    Said {
        /// Whose.
        index: u64,
        /// All of it, without reasoning.
        text: Arc<str>,
    },
    /// What is known of an answer beside the arrivals of its tokens. Told at most once, right before the end.
    Counted {
        /// Whose.
        index: u64,
        /// How many tokens it had, by the count of a target that does not say which arrived when.
        tokens: Option<u32>,
        /// Everything else.
        account: Account,
    },
    /// A request is over.
    Ended {
        /// Which.
        index: u64,
        /// When.
        at: Micros,
        /// How.
        outcome: Outcome,
        /// What the server tells of it.
        server: Option<ServerSide>,
    },
    /// A unit changed its state or role.
    Unit {
        /// When.
        at: Micros,
        /// Which.
        unit: UnitId,
        /// Its role now.
        role: Role,
        /// Its state now.
        state: UnitState,
        /// Requests it holds now.
        held: u32,
    },
    /// A shift that was asked for by [`Control::shift`] was accepted: it runs now, or when its turn comes. Answers come in the
    /// order of asking, each before anything else of its shift.
    ShiftAccepted {
        /// When.
        at: Micros,
        /// Which; events about it carry this.
        id: ShiftId,
        /// Where it leads.
        to: Split,
        /// How.
        how: How,
    },
    /// A shift that was asked for by [`Control::shift`] was refused, or the answer did not come.
    ShiftRefused {
        /// When.
        at: Micros,
        /// Where it would have led.
        to: Split,
        /// How.
        how: How,
        /// Why.
        why: String,
    },
    /// A shift began, whoever asked for it.
    ShiftStarted {
        /// When.
        at: Micros,
        /// Which.
        id: ShiftId,
        /// Where it leads.
        to: Split,
        /// How.
        how: How,
    },
    /// A shift ended, whoever asked for it.
    ShiftEnded {
        /// When.
        at: Micros,
        /// What it took.
        report: ShiftReport,
    },
    /// A shift that waited could not be started.
    ShiftDropped {
        /// When.
        at: Micros,
        /// Which.
        id: ShiftId,
        /// Where it would have led.
        to: Split,
        /// How.
        how: How,
        /// Why.
        why: String,
    },
    /// A unit was lost.
    UnitLost {
        /// When.
        at: Micros,
        /// Which.
        unit: UnitId,
        /// Why.
        why: String,
    },
    /// Something else that people want to read of.
    Remark {
        /// When.
        at: Micros,
        /// A sentence.
        text: String,
    },
}

/// Where requests go. Used by the pacing thread: nothing here may wait.
pub trait Target: Send + Sync + fmt::Debug {
    /// Hands a request over.
    ///
    /// # Errors
    /// When a stated limit was reached: the request was not sent.
    fn submit(&self, dispatch: Dispatch) -> Result<(), Shed>;

    /// Gives a request up. It still ends by an event.
    fn cancel(&self, index: u64);
}

/// What comes back. Used by one thread.
pub trait TargetEvents: Send + fmt::Debug {
    /// Aligns instants with the run's clock. Called once, before the first request of the run; whatever is drained before that was
    /// stamped by some other clock.
    fn align(&mut self, clock: RunClock);

    /// Appends everything new, waiting up to `wait` for the first of it. `false` once the target has stopped for good.
    fn drain(&mut self, into: &mut Vec<TargetEvent>, wait: Duration) -> bool;
}

/// The cluster behind a target, as last observed.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterView {
    /// The split by the roles of the units.
    pub split: Split,
    /// The units.
    pub units: Vec<UnitView>,
    /// Shifts that wait for the one under way.
    pub waiting_shifts: Vec<(Split, How)>,
}

/// How roles are changed and observed. Used by the observing thread: nothing here may wait.
pub trait Control: Send + Sync + fmt::Debug {
    /// The cluster now; rates are over the time since the last call.
    fn observe(&self) -> ClusterView;

    /// Asks for a shift. The answer is an event, [`TargetEvent::ShiftAccepted`] or [`TargetEvent::ShiftRefused`], and so is what
    /// becomes of it.
    ///
    /// # Errors
    /// One line: why it cannot even be asked for. No event will tell of it.
    fn shift(&self, to: Split, how: How) -> Result<(), String>;

    /// Which unit others know by this name, where the control knows: of who served a request, or of whose figures they are. Not the
    /// observing thread alone asks.
    fn unit_called(&self, name: &str) -> Option<UnitId> {
        let _ = name;
        None
    }

    /// Units of the view that nobody is any more, though all that is wanted serves: others serve in their stead.
    fn vacated(&self) -> Vec<UnitId> {
        Vec::new()
    }

    /// A plain account of what is there, with the names of those that do not serve, where the control knows names.
    fn account(&self) -> Option<String> {
        None
    }

    /// What can be asked for.
    fn abilities(&self) -> Abilities {
        Abilities::ENGINE
    }
}

/// An open target.
#[derive(Debug)]
pub struct Connection {
    /// What it is.
    pub info: TargetInfo,
    /// Where requests go.
    pub target: Arc<dyn Target>,
    /// What comes back.
    pub events: Box<dyn TargetEvents>,
    /// What is known of its units beforehand; `None` where nothing tells of single units.
    pub terms: Option<UnitTerms>,
    /// How roles are changed; `None` when the target has no control.
    pub control: Option<Arc<dyn Control>>,
    /// What its servers tell of themselves, where they are asked.
    pub metrics: Option<Metrics>,
    /// What the way to a remote target costs the client; `None` for a target inside the process. With it, `sent` is told by
    /// [`TargetEvent::Sent`] and not by the hand-over.
    pub client: Option<Arc<ClientSide>>,
    /// How many times as fast as wall time its time goes, and that of the run with it: 1 for everything that is real.
    pub time_scale: f64,
    /// Whether later turns can repeat its answers: it tells the ids of their tokens, or is sent text anyhow.
    pub tells_answers: bool,
    /// What is to be known before a run, one line each.
    pub remarks: Vec<String>,
}

impl Connection {
    /// The same, with a control that only looks: nothing is ever shifted by it.
    #[must_use]
    pub fn read_only(self) -> Self {
        let control = self.control.map(|control| Arc::new(ReadOnly(control)) as Arc<dyn Control>);
        Self { control, ..self }
    }
}
