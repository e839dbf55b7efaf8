//! Transfers under way, by number.

use std::collections::VecDeque;

use super::event::TransferId;

/// What is known of transfers, in the order of their numbers. Few are under way at a time and the oldest is mostly the next
/// to end, so a list in order is searched faster than any map.
#[derive(Clone, Debug)]
pub(crate) struct Numbered<T> {
    entries: VecDeque<(TransferId, T)>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new() }
    }
}

impl<T> Numbered<T> {
    /// Adds a transfer; its number is above that of all others.
    pub(crate) fn insert(&mut self, id: TransferId, value: T) {
        debug_assert!(self.entries.back().is_none_or(|(last, _)| *last < id), "numbers are counted up");
        self.entries.push_back((id, value));
    }

    /// What is known of `id`.
    pub(crate) fn get(&self, id: TransferId) -> Option<&T> {
        self.entries.get(self.position(id)?).map(|(_, value)| value)
    }

    /// What is known of `id`, to be changed.
    pub(crate) fn get_mut(&mut self, id: TransferId) -> Option<&mut T> {
        let at = self.position(id)?;
        self.entries.get_mut(at).map(|(_, value)| value)
    }

    /// Forgets `id` and hands out what was known of it.
    pub(crate) fn remove(&mut self, id: TransferId) -> Option<T> {
        match self.position(id)? {
            0 => self.entries.pop_front(),
            at => self.entries.remove(at),
        }
        .map(|(_, value)| value)
    }

    /// All of them, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// All of them with their numbers, in order, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (TransferId, &mut T)> {
        self.entries.iter_mut().map(|(id, value)| (*id, value))
    }

    fn position(&self, id: TransferId) -> Option<usize> {
        match self.entries.front() {
            Some((first, _)) if *first == id => Some(0),
            _ => self.entries.binary_search_by_key(&id, |(number, _)| *number).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_by_its_number_whatever_has_gone() {
        let mut numbered = Numbered::default();
        for id in [3, 4, 7, 9] {
            numbered.insert(TransferId(id), id * 10);
        }
        assert_eq!(numbered.remove(TransferId(7)), Some(70));
        assert_eq!(numbered.remove(TransferId(3)), Some(30));
        assert_eq!((numbered.get(TransferId(7)), numbered.get(TransferId(9))), (None, Some(&90)));
        assert_eq!(numbered.values().copied().collect::<Vec<_>>(), [40, 90]);
    }
}
