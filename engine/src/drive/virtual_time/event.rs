//! What will happen, in order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::cluster::TransferId;
use crate::units::{Nanos, UnitId};

/// What happens next. The order of the variants is the order at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    StepEnds(UnitId),
    /// The setup of a transfer is over.
    TransferReady(TransferId),
    TransferEnds(TransferId),
    Switched(UnitId),
    Warmed(UnitId),
    Deadline,
    Input(u64),
}

/// Bits of an event's number; what is left of a word says which kind of event it is.
const NUMBER_BITS: u32 = 60;

impl Event {
    /// The next input of the source: after all others of its instant.
    pub(super) const FED: Self = Self::Input((1 << NUMBER_BITS) - 1);

    /// A word that is in order as the events are. Numbers are counted up from 0 and never get near 2^60.
    pub(super) fn word(self) -> u64 {
        let (kind, number) = match self {
            Self::StepEnds(unit) => (0, u64::from(unit.0)),
            Self::TransferReady(id) => (1, id.0),
            Self::TransferEnds(id) => (2, id.0),
            Self::Switched(unit) => (3, u64::from(unit.0)),
            Self::Warmed(unit) => (4, u64::from(unit.0)),
            Self::Deadline => (5, 0),
            Self::Input(number) => (6, number),
        };
        kind << NUMBER_BITS | number & ((1 << NUMBER_BITS) - 1)
    }

    pub(super) fn from_word(word: u64) -> Self {
        let number = word & ((1 << NUMBER_BITS) - 1);
        let unit = UnitId(number as u16);
        match word >> NUMBER_BITS {
            0 => Self::StepEnds(unit),
            1 => Self::TransferReady(TransferId(number)),
            2 => Self::TransferEnds(TransferId(number)),
            3 => Self::Switched(unit),
            4 => Self::Warmed(unit),
            5 => Self::Deadline,
            _ => Self::Input(number),
        }
    }
}

/// Events with their instants, the next one first. Words instead of events make them cheap to compare.
///
/// Most are scheduled the same time ahead, and so in the order in which they happen: these stand in a line, and only who would
/// have to go before its last one is put into the heap.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    line: VecDeque<(Nanos, u64)>,
    heap: BinaryHeap<Reverse<(Nanos, u64)>>,
}

impl Events {
    pub(super) fn push(&mut self, at: Nanos, event: Event) {
        let entry = (at, event.word());
        if self.line.back().is_none_or(|&last| last <= entry) {
            self.line.push_back(entry);
        } else {
            self.heap.push(Reverse(entry));
        }
    }

    /// The instant and the word of the next one.
    pub(super) fn first(&self) -> Option<(Nanos, u64)> {
        match (self.line.front(), self.heap.peek()) {
            (Some(&line), Some(&Reverse(heap))) => Some(line.min(heap)),
            (Some(&line), None) => Some(line),
            (None, heap) => heap.map(|&Reverse(heap)| heap),
        }
    }

    /// Takes the next one out if it is this one.
    pub(super) fn take(&mut self, entry: (Nanos, u64)) {
        if self.line.front() == Some(&entry) {
            self.line.pop_front();
        } else if self.heap.peek() == Some(&Reverse(entry)) {
            self.heap.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_order_as_the_events_are_and_come_back() {
        let (unit, id) = (UnitId(7), TransferId(1 << 40));
        let events = [
            Event::StepEnds(UnitId(0)),
            Event::StepEnds(unit),
            Event::TransferReady(id),
            Event::TransferEnds(TransferId(3)),
            Event::TransferEnds(id),
            Event::Switched(unit),
            Event::Warmed(unit),
            Event::Deadline,
            Event::Input(9),
            Event::FED,
        ];
        assert!(events.is_sorted() && events.is_sorted_by_key(|event| event.word()));
        assert!(events.iter().all(|&event| Event::from_word(event.word()) == event));
    }

    #[test]
    fn whatever_the_order_of_scheduling_the_earliest_comes_first() {
        let mut events = Events::default();
        let at = [5, 9, 7, 9, 3, 12, 3];
        for (number, at) in (0..).zip(at) {
            events.push(Nanos(at), Event::Input(number));
        }
        let mut taken = Vec::new();
        while let Some(first) = events.first() {
            events.take(first);
            taken.push((first.0.0, Event::from_word(first.1)));
        }
        let expected = [(3, 4), (3, 6), (5, 0), (7, 2), (9, 1), (9, 3), (12, 5)];
        assert_eq!(taken, expected.map(|(at, number)| (at, Event::Input(number))));
    }
}
