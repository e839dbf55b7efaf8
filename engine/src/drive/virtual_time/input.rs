//! What happens to the cluster from outside.

use std::fmt;

use rustc_hash::FxHashMap;

use crate::cluster::{Arrival, How};
use crate::units::{Nanos, RequestId, Split, UnitId};

/// Something that happens to the cluster from outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request arrives.
    Arrive(Arrival),
    /// A client goes.
    Cancel(RequestId),
    /// A shift is asked for.
    Shift(Split, How),
    /// A unit is lost.
    Fail(UnitId),
}

/// Inputs one after another, each with its instant.
pub(super) trait Source: Iterator<Item = (Nanos, Input)> + Send {
    /// The same from here on.
    fn copy(&self) -> Box<dyn Source>;
}

impl<T: Iterator<Item = (Nanos, Input)> + Clone + Send + 'static> Source for T {
    fn copy(&self) -> Box<dyn Source> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Source> {
    fn clone(&self) -> Self {
        self.as_ref().copy()
    }
}

/// Inputs that were scheduled one by one, and a source of more.
#[derive(Clone, Default)]
pub(super) struct Inputs {
    scheduled: FxHashMap<u64, Input>,
    next_number: u64,
    /// The next one of the source.
    fed: Option<(Nanos, Input)>,
    source: Option<Box<dyn Source>>,
}

impl Inputs {
    /// Keeps an input until its time comes; returns its number.
    pub(super) fn add(&mut self, input: Input) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        self.scheduled.insert(number, input);
        number
    }

    pub(super) fn feed(&mut self, mut source: Box<dyn Source>) {
        self.fed = source.next();
        self.source = Some(source);
    }

    /// When the next one of the source is due.
    pub(super) fn next(&self) -> Option<Nanos> {
        self.fed.as_ref().map(|(at, _)| *at)
    }

    /// Whether it is an arrival: the one with this number, or else the next one of the source.
    pub(super) fn is_arrival(&self, number: u64) -> bool {
        let input = self.scheduled.get(&number).or(self.fed.as_ref().map(|(_, input)| input));
        matches!(input, Some(Input::Arrive(_)))
    }

    /// Hands out the input with this number; one that was never given away stands for the next one of the source.
    pub(super) fn take(&mut self, number: u64) -> Option<Input> {
        if number < self.next_number {
            return self.scheduled.remove(&number);
        }
        let next = self.source.as_mut().and_then(Iterator::next);
        std::mem::replace(&mut self.fed, next).map(|(_, input)| input)
    }
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("scheduled", &self.scheduled).field("fed", &self.fed).finish_non_exhaustive()
    }
}
