//! Tests decide when a step or a piece of a hand-off goes on, and which of them go wrong.
//!
//! Nothing here waits for time to pass: a thread that comes to a held cue says so and stays there until it is released.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use engine::cluster::Transfer;
use engine::executor::{Executor, ExecutorError, Sampled, StepInput};
use engine::units::{RequestId, UnitId};

/// How long anything may take before a test gives up. No test waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A moment in the life of a unit's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cue {
    /// The step that samples this token of a request's answer.
    Token(RequestId, u32),
    /// The piece of a request's hand-off that starts with this block.
    Piece(RequestId, u32),
    /// The n-th step of a unit, from 1.
    Step(UnitId, u32),
    /// The n-th piece that a unit imports, from 1.
    Import(UnitId, u32),
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The executor says so.
    Error,
    /// The executor panics.
    Panic,
    /// A step leaves out the last token that it should sample.
    Short,
}

#[derive(Debug, Default)]
struct Script {
    held: HashSet<Cue>,
    troubles: HashMap<Cue, Trouble>,
    reached: HashSet<Cue>,
    prompt_steps: HashMap<RequestId, u32>,
    hand_offs: HashMap<RequestId, Vec<(UnitId, UnitId)>>,
}

/// The script that all units of an engine follow.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    script: Mutex<Script>,
    changed: Condvar,
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no test panics with the script in hand")
    }

    /// Whoever comes to `cue` stays there.
    pub(crate) fn hold(&self, cue: Cue) {
        self.lock().held.insert(cue);
    }

    /// Whoever stays at `cue` goes on.
    pub(crate) fn release(&self, cue: Cue) {
        self.lock().held.remove(&cue);
        self.changed.notify_all();
    }

    /// Everybody goes on.
    pub(crate) fn release_all(&self) {
        self.lock().held.clear();
        self.changed.notify_all();
    }

    /// Whoever comes to `cue`, once, fails.
    pub(crate) fn trouble(&self, cue: Cue, trouble: Trouble) {
        self.lock().troubles.insert(cue, trouble);
    }

    /// Waits until somebody has come to `cue`.
    pub(crate) fn reached(&self, cue: Cue) {
        let waiting = self.changed.wait_timeout_while(self.lock(), PATIENCE, |script| !script.reached.contains(&cue));
        assert!(!waiting.expect("the script").1.timed_out(), "nobody came to {cue:?}");
    }

    /// Whether anybody has come to `cue`.
    pub(crate) fn has_reached(&self, cue: Cue) -> bool {
        self.lock().reached.contains(&cue)
    }

    /// How many steps computed a part of the request's prompt.
    pub(crate) fn prompt_steps(&self, request: RequestId) -> u32 {
        self.lock().prompt_steps.get(&request).copied().unwrap_or(0)
    }

    /// From where to where the request's KV was copied, hand-offs and migrations in order.
    pub(crate) fn hand_offs(&self, request: RequestId) -> Vec<(UnitId, UnitId)> {
        self.lock().hand_offs.get(&request).cloned().unwrap_or_default()
    }

    fn pass(&self, cues: &[Cue]) -> Option<Trouble> {
        let mut script = self.lock();
        script.reached.extend(cues);
        self.changed.notify_all();
        let is_held = |script: &mut Script| cues.iter().any(|cue| script.held.contains(cue));
        let mut script = self.changed.wait_while(script, is_held).expect("the script");
        cues.iter().find_map(|cue| script.troubles.remove(cue))
    }
}

/// An executor that follows a script.
pub(crate) struct Staged<E> {
    unit: UnitId,
    steps: u32,
    imports: u32,
    stage: Arc<Stage>,
    executor: E,
}

/// The executors of a cluster, in order, as an engine takes them.
pub(crate) fn staged<E: Executor + 'static>(
    stage: &Arc<Stage>,
    executors: impl IntoIterator<Item = E>,
) -> Vec<Box<dyn Executor>> {
    let staged = |(unit, executor)| {
        let executor = Staged { unit: UnitId(unit), steps: 0, imports: 0, stage: Arc::clone(stage), executor };
        Box::new(executor) as Box<dyn Executor>
    };
    (0..).zip(executors).map(staged).collect()
}

fn go_wrong(trouble: Option<Trouble>) -> Result<bool, ExecutorError> {
    match trouble {
        None => Ok(false),
        Some(Trouble::Short) => Ok(true),
        Some(Trouble::Error) => Err(ExecutorError { doing: "following the script", why: "it says so".to_owned() }),
        // As a panic, but without a word on standard error.
        Some(Trouble::Panic) => std::panic::resume_unwind(Box::new("the script says so")),
    }
}

impl<E: Executor> Executor for Staged<E> {
    fn step(&mut self, input: StepInput<'_>, sampled: &mut Vec<Sampled>) -> Result<(), ExecutorError> {
        self.steps += 1;
        let mut cues = vec![Cue::Step(self.unit, self.steps)];
        let sequences = &input.plan.sequences;
        cues.extend(sequences.iter().filter(|s| s.sample).map(|s| Cue::Token(s.request, s.output_index)));
        for planned in sequences.iter().filter(|s| s.output_index == 0) {
            *self.stage.lock().prompt_steps.entry(planned.request).or_default() += 1;
        }
        let short = go_wrong(self.stage.pass(&cues))?;
        self.executor.step(input, sampled)?;
        if short {
            sampled.pop();
        }
        Ok(())
    }

    fn import(&mut self, transfer: &Transfer, piece: Range<u32>) -> Result<(), ExecutorError> {
        self.imports += 1;
        let cues = [Cue::Piece(transfer.request, piece.start), Cue::Import(self.unit, self.imports)];
        go_wrong(self.stage.pass(&cues))?;
        if piece.start == 0 {
            let ends = (transfer.from, transfer.to);
            self.stage.lock().hand_offs.entry(transfer.request).or_default().push(ends);
        }
        self.executor.import(transfer, piece)
    }

    fn vocabulary(&self) -> u32 {
        self.executor.vocabulary()
    }
}
