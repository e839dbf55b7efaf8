//! What pdtune asks of a control plane, whatever it is: to be observed, to propose a plan for a shift, and to take its calls.
//!
//! A call that was answered says nothing of what became of it: a 200 or a 202 has been seen to change nothing. What is so is
//! what an observation shows, so every call names what must be seen before it counts as done, and what undoes it.

mod goal;
mod topology;
mod trouble;
mod unseen;

use std::fmt::Debug;

use engine::cluster::How;
use engine::units::Split;

use crate::target::Abilities;

pub use goal::Goal;
pub use topology::{Member, MemberState, Topology};
pub use trouble::{Trouble, Whose};
pub use unseen::Unseen;

/// A call to the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action<C> {
    /// What is called.
    pub call: C,
    /// The call as people read it, with everything that it changes.
    pub says: String,
    /// What must be seen then.
    pub goal: Goal,
    /// What the control plane works towards once it has taken the call, where it tells.
    pub wants: Option<Split>,
}

/// A call and what undoes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<C> {
    /// On the way to the new split.
    pub forth: Action<C>,
    /// On the way back.
    pub back: Option<Action<C>>,
}

/// How a shift is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<C> {
    /// The split before.
    pub from: Split,
    /// One after the other; each waits until the one before it has come true.
    pub steps: Vec<Step<C>>,
    /// The names of the members that move, where the plan says which; else any may come and go meanwhile. What becomes of
    /// others is then nothing that the shift has done, and nothing that stands in its way.
    pub moves: Option<Vec<String>>,
    /// What an operator should know before: what is traded, and what may be lost.
    pub remarks: Vec<String>,
}

/// Why a call has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was refused: nothing has changed.
    #[error("{0}")]
    Refused(String),
    /// It cannot be taken yet, and nothing has changed: it is made again, until the step has taken too long.
    #[error("{0}")]
    NotYet(String),
    /// Somebody else has changed what it was to change, and it has changed nothing. To go on, or back, would be to fight: the shift
    /// is left as it is.
    #[error("{0}")]
    Overtaken(String),
    /// Some of it was done, and the rest will not be: it is to be undone.
    #[error("{0}")]
    Partly(String),
    /// No answer came that says so: it may or may not have been taken.
    #[error("{0}; it may or may not have been taken")]
    Unclear(String),
    /// It was taken and has failed for good. Nothing that was done may be undone: a unit would serve that cannot.
    #[error("{0}")]
    Broken(String),
}

impl CallError {
    /// Of a look before a call, which was not made then.
    pub(crate) fn not_yet(unseen: Unseen) -> Self {
        match unseen {
            Unseen::NotYet(why) | Unseen::Never(why) => Self::NotYet(why),
        }
    }
}

/// A control plane.
pub trait Adapter: Send + 'static {
    /// What it can be told.
    type Call: Clone + Debug + Send + Sync + 'static;

    /// What it lets be done.
    fn abilities(&self) -> Abilities;

    /// Gets ready, before the first look.
    ///
    /// # Errors
    /// Why there is nothing to be looked at; [`Adapter::close`] is called then, too.
    fn ready(&mut self) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// Whether something is started for the run alone: then whoever drops the control waits for [`Adapter::close`].
    fn is_of_the_run(&self) -> bool {
        false
    }

    /// Nobody will shift any more: what was started for the run alone is ended, within a bounded time.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Looks. What is seen is what [`Adapter::propose`] starts from.
    ///
    /// # Errors
    /// Why nothing was seen.
    fn observe(&mut self) -> impl Future<Output = Result<Topology, Unseen>> + Send;

    /// How to get to `to` from what was last observed. Nothing is changed. What is wrong with `to` on any control plane has been
    /// found out before, and what is traded is said afterwards: see `prepare`.
    ///
    /// # Errors
    /// One line: why it cannot be done, or shall not.
    fn propose(&self, to: Split, how: How) -> Result<Plan<Self::Call>, String>;

    /// Asks whether the first call of a plan would be taken, and changes nothing. Only asked of adapters that are
    /// [able](Abilities::dry_run) to; the answer is in it, or why it would not be taken, and nothing where this call cannot be
    /// asked about.
    fn rehearse(&mut self, call: &Self::Call) -> impl Future<Output = Option<Result<(), String>>> + Send {
        let _ = call;
        async { None }
    }

    /// Makes one call.
    ///
    /// # Errors
    /// When it was not taken, or nobody knows.
    fn apply(&mut self, call: &Self::Call) -> impl Future<Output = Result<(), CallError>> + Send;
}
