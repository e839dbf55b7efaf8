//! What will happen, in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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
    /// A word that is in order as the events are. Numbers are counted up from 0 and never get near 2^60.
    fn word(self) -> u64 {
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

    fn from_word(word: u64) -> Self {
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
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Reverse<(Nanos, u64)>>,
}

impl Events {
    pub(super) fn push(&mut self, at: Nanos, event: Event) {
        self.heap.push(Reverse((at, event.word())));
    }

    pub(super) fn first(&self) -> Option<(Nanos, Event)> {
        self.heap.peek().map(|Reverse((at, word))| (*at, Event::from_word(*word)))
    }

    pub(super) fn pop(&mut self) {
        self.heap.pop();
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
        ];
        assert!(events.is_sorted() && events.is_sorted_by_key(|event| event.word()));
        assert!(events.iter().all(|&event| Event::from_word(event.word()) == event));
    }
}
