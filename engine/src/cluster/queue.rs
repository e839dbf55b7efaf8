//! A queue of sequences in the order of their arrival.

use std::collections::VecDeque;

use super::sequence::{Sequences, Slot};

/// The oldest request is at the front: a sequence that lost its place gets it back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    slots: VecDeque<Slot>,
}

impl Queue {
    /// The oldest.
    pub(crate) fn front(&self) -> Option<Slot> {
        self.slots.front().copied()
    }

    /// Takes the oldest out.
    pub(crate) fn pop(&mut self) -> Option<Slot> {
        self.slots.pop_front()
    }

    /// Adds a sequence at the place that its age gives it.
    pub(crate) fn insert(&mut self, sequences: &Sequences, slot: Slot) {
        let age = sequences[slot].age;
        match self.slots.back() {
            Some(&last) if sequences[last].age > age => {
                let at = self.slots.partition_point(|&other| sequences[other].age < age);
                self.slots.insert(at, slot);
            }
            _ => self.slots.push_back(slot),
        }
    }

    /// Takes a sequence out, wherever it is.
    pub(crate) fn remove(&mut self, slot: Slot) {
        if let Some(at) = self.slots.iter().position(|&other| other == slot) {
            self.slots.remove(at);
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.slots.iter().copied()
    }
}
