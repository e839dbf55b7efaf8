//! What goes into a cluster and what comes out of it.

use std::fmt;
use std::sync::Arc;

use super::plan::{BlockHash, Extent};
use crate::units::{Nanos, RequestId, Role, Split, UnitId};

/// A request as the cluster sees it: counts and hashes, never token ids.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The request.
    pub request: RequestId,
    /// Tokens of the prompt, at least 1.
    pub prompt_tokens: u32,
    /// Tokens after which the answer ends at the latest, at least 1.
    pub output_tokens: u32,
    /// Chained hashes of the full blocks of the prompt, in order.
    pub prompt_hashes: Arc<[BlockHash]>,
}

/// What the executor says of finished steps beyond "done".
#[derive(Clone, Copy, Debug, Default)]
pub struct StepReport<'a> {
    /// Sequences whose sampled token ended the answer (end-of-sequence or a stop condition).
    pub stopped: &'a [RequestId],
    /// Blocks that the steps filled with generated tokens: request, index of the block in its sequence, hash. Nothing where the
    /// cluster has [names](super::Cluster::with_names) for them.
    pub filled: &'a [(RequestId, u32, BlockHash)],
}

/// How a unit gets from one role to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum How {
    /// Finish what it holds.
    #[default]
    Drain,
    /// Move the KV of what it holds to peers.
    Migrate,
    /// Finish what it holds, then end its process and start another one, which loads the weights and has nothing cached.
    Restart,
}

impl How {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::Drain, Self::Migrate, Self::Restart];
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drain => "drain",
            Self::Migrate => "migrate",
            Self::Restart => "restart",
        })
    }
}

/// A shift, numbered from 0 in the order of their acceptance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShiftId(pub u64);

/// Why a shift was not accepted. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShiftRefused {
    /// The split is for another number of units.
    #[error("split {asked} has {} units, {live} are serving", asked.units())]
    WrongUnits {
        /// What was asked.
        asked: Split,
        /// Units that have not failed.
        live: u16,
    },
    /// Nothing could prefill, or nothing could decode.
    #[error(transparent)]
    Unservable(#[from] crate::units::SplitError),
    /// Every order in which the units could restart comes to a point where nobody could do this.
    #[error("a restart to {to} would leave no unit that can {missing} while one is down")]
    NobodyMeanwhile {
        /// What was asked.
        to: Split,
        /// Whose work nobody could do.
        missing: Side,
    },
    /// Another shift is under way; scheduling the next one is the caller's business.
    #[error("shift {} to {to} is still under way", id.0)]
    Busy {
        /// The shift under way.
        id: ShiftId,
        /// Where it leads.
        to: Split,
    },
}

/// The two halves of serving a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Computing prompts.
    Prefill,
    /// Continuing answers.
    Decode,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        })
    }
}

/// A KV hand-off, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId(pub u64);

/// Copy these blocks; acknowledge with `transfer_done`. Source and destination blocks stay held until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its number.
    pub id: TransferId,
    /// Whose KV it is.
    pub request: RequestId,
    /// Where the blocks are.
    pub from: UnitId,
    /// Where they go.
    pub to: UnitId,
    /// How many blocks.
    pub blocks: u32,
    /// Source blocks, in sequence order; empty below [`super::Detail::Tables`], as the destination's are.
    pub source: Vec<Extent>,
    /// Destination blocks, as many as the source's.
    pub destination: Vec<Extent>,
    /// Positions that the blocks hold.
    pub tokens: u32,
}

/// What a unit is doing about its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitState {
    /// Serving its role.
    Serving,
    /// Getting rid of what it holds; `left` sequences to go.
    Draining {
        /// Sequences it still holds.
        left: u32,
    },
    /// The executor is changing the role, or its process is being started anew.
    Switching,
    /// The executor is warming up in the new role.
    Warming,
    /// Lost.
    Failed,
}

/// Do this to a unit's executor, then acknowledge with `role_switched` or `role_warmed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleCommand {
    /// Change the role. On the way between A and P or D the unit keeps its KV and computes steps meanwhile; between P and D it
    /// holds nothing.
    Switch {
        /// Which unit.
        unit: UnitId,
        /// To what.
        to: Role,
    },
    /// End the process and start one in another role that has loaded the weights; acknowledged with `role_switched`. The unit
    /// holds nothing and computes nothing.
    Restart {
        /// Which unit.
        unit: UnitId,
        /// To what.
        to: Role,
    },
    /// Warm up in the new role.
    Warm {
        /// Which unit.
        unit: UnitId,
    },
}

/// Tokens `first .. first + count` of the answer reach the client now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emission {
    /// Whose.
    pub request: RequestId,
    /// Index of the first of them in the answer.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// The unit that computed the last of them.
    pub unit: UnitId,
}

/// Why a request is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// The asked number of tokens was reached.
    Length,
    /// The model ended the answer.
    Stop,
    /// The client cancelled.
    Cancelled,
    /// No unit is left that could serve it.
    NoCapacity,
}

/// When a request passed its stages. All instants; `None` when it never came to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// It arrived.
    pub arrived: Nanos,
    /// Its first prompt chunk was put into a step.
    pub prefill_start: Option<Nanos>,
    /// Its first token was sampled.
    pub prefill_end: Option<Nanos>,
    /// Its KV hand-off started (blocks at the destination were there).
    pub handoff_start: Option<Nanos>,
    /// Its KV hand-off ended.
    pub handoff_end: Option<Nanos>,
    /// Its first decode step started.
    pub decode_start: Option<Nanos>,
}

/// A request is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Which.
    pub request: RequestId,
    /// Why.
    pub reason: FinishReason,
    /// Tokens of its answer that were emitted.
    pub output_tokens: u32,
    /// Prompt tokens looked up in the prefix cache at its first admission, and how many of them were there.
    pub prefix_queried: u32,
    /// See `prefix_queried`.
    pub prefix_hit: u32,
    /// Times it lost its KV and was computed anew.
    pub preemptions: u32,
    /// The unit that computed its first token.
    pub prefill_unit: Option<UnitId>,
    /// The unit that computed its last token.
    pub decode_unit: Option<UnitId>,
    /// Its stages.
    pub stages: Stages,
}

/// A converged or abandoned shift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShiftReport {
    /// Which.
    pub id: ShiftId,
    /// The split before.
    pub from: Split,
    /// The split asked for.
    pub to: Split,
    /// How units changed.
    pub how: How,
    /// When the cluster took it up, which is when it started; a driver may have had it wait before.
    pub accepted: Nanos,
    /// How long the slowest unit was draining.
    pub drain: Nanos,
    /// From acceptance to the last unit serving its new role.
    pub total: Nanos,
    /// Sequences in flight on the moving units when their draining began.
    pub in_flight: u32,
    /// Why it was given up, if it was.
    pub abandoned: Option<String>,
}

/// Something observers want to know; no decision hangs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A unit changed state or role.
    Unit {
        /// Which.
        unit: UnitId,
        /// Its role now.
        role: Role,
        /// Its state now.
        state: UnitState,
        /// Sequences and requests it holds now.
        held: u32,
    },
    /// A shift was accepted.
    ShiftStarted {
        /// Which.
        id: ShiftId,
        /// Where it leads.
        to: Split,
        /// How.
        how: How,
    },
    /// A shift ended.
    ShiftEnded(ShiftReport),
    /// A sequence lost its KV for want of blocks and will be computed anew.
    Preempted {
        /// Which.
        request: RequestId,
        /// Where.
        unit: UnitId,
    },
}

/// What the caller of a cluster has to do now. The caller empties it after every call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    /// Tokens to deliver, in order.
    pub emissions: Vec<Emission>,
    /// Requests that are over; their last emission stands before.
    pub finished: Vec<Finished>,
    /// Transfers to start.
    pub transfers: Vec<Transfer>,
    /// Transfers whose result nobody wants any more: stop copying, then acknowledge with `transfer_done` all the same; the
    /// blocks on both sides stay held until then, so that nobody writes what is still being read.
    pub aborted: Vec<TransferId>,
    /// Role changes to carry out.
    pub roles: Vec<RoleCommand>,
    /// Idle units for which `start_step` may now have a step.
    pub wake: Vec<UnitId>,
    /// Units whose plan does not hold for more than the step in flight any more: its `repeat` is 1 now.
    pub cut: Vec<UnitId>,
    /// News for observers.
    pub notices: Vec<Notice>,
}

impl Outbox {
    /// Empties it, keeping its buffers.
    pub fn clear(&mut self) {
        self.emissions.clear();
        self.finished.clear();
        self.transfers.clear();
        self.aborted.clear();
        self.roles.clear();
        self.wake.clear();
        self.cut.clear();
        self.notices.clear();
    }
}
