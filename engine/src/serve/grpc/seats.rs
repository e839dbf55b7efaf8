//! A bounded number of something, and when there is none of it.

use std::sync::Arc;

use tokio::sync::watch;

/// Places for calls that stay open.
#[derive(Debug)]
pub(super) struct Seats {
    limit: usize,
    taken: watch::Sender<usize>,
}

/// One place, given back when dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Seats>);

impl Seats {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: watch::Sender::new(0) })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> usize {
        *self.taken.borrow()
    }

    /// A place, if there is one.
    pub(super) fn take(self: &Arc<Self>) -> Option<Seat> {
        let mut room = false;
        self.taken.send_if_modified(|taken| {
            room = *taken < self.limit;
            *taken += usize::from(room);
            room
        });
        room.then(|| Seat(Arc::clone(self)))
    }

    /// Waits until all places are free.
    pub(super) async fn empty(&self) {
        // An error would mean that the sender is gone, which is a field of this.
        let _ = self.taken.subscribe().wait_for(|taken| *taken == 0).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.send_modify(|taken| *taken -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_seats_as_said_and_a_free_one_is_taken_again() {
        let seats = Seats::new(2);
        let (first, second) = (seats.take().expect("room"), seats.take().expect("room"));
        assert!(seats.take().is_none());
        drop(first);
        let third = seats.take().expect("room again");
        assert!(seats.take().is_none());
        drop((second, third));
        assert_eq!(seats.taken(), 0);
    }
}
