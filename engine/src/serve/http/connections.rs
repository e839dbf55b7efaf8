//! Seats for connections: a bounded number, and those that wait for their client make room.
//!
//! A connection waits for its client when there is no request, or not all of one. It is busy from the last byte of a
//! request to when the socket has taken the last byte of its answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::serve::metrics::HttpFigures;

/// Connections that were asked to go and have not gone yet. More of them would need more files than are to spare.
const LEAVING: usize = 32;

/// All connections of a server.
#[derive(Debug)]
pub(super) struct Connections {
    limit: usize,
    room: Mutex<Room>,
    /// Requests being answered.
    busy: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Room {
    taken: usize,
    /// Evicted and still open.
    leaving: usize,
    /// Those that wait for their client, the one that has done so for the longest first.
    waiting: BTreeMap<u64, Arc<Notify>>,
    next: u64,
    figures: HttpFigures,
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    connections: Arc<Connections>,
    /// Rung when the connection has to make room.
    pub(super) bell: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Its place among those that wait. Gone from there, it has been evicted.
    ticket: Option<u64>,
    evicted: bool,
    busy: bool,
    /// The answer has been handed to the socket's buffer, which may not have taken it yet.
    answered: bool,
}

/// Lasts as long as there is something of an answer that has not been handed to the socket.
#[derive(Debug)]
pub(super) struct Answering(Arc<Seat>);

impl Connections {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), room: Mutex::default(), busy: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a new connection, that of the one that has waited the longest if need be; `None` when all are busy, or
    /// too many have not left yet.
    pub(super) fn seat(self: &Arc<Self>) -> Option<Arc<Seat>> {
        let mut room = self.lock();
        // More than one has to go where some that were asked to go have stayed for a last answer.
        while room.taken >= self.limit {
            if !room.evict() {
                room.figures.turned_away += 1;
                return None;
            }
        }
        room.taken += 1;
        let bell = Arc::new(Notify::new());
        let ticket = Some(room.enter(&bell));
        let state = Mutex::new(State { ticket, evicted: false, busy: false, answered: false });
        Some(Arc::new(Seat { connections: Arc::clone(self), bell, state }))
    }

    /// Makes room for a connection that the system cannot open for want of files.
    pub(super) fn make_room(&self) {
        self.lock().evict();
    }

    /// Counts a connection whose client stopped reading.
    pub(super) fn stalled(&self) {
        self.lock().figures.stalled += 1;
    }

    pub(super) fn figures(&self) -> HttpFigures {
        let room = self.lock();
        HttpFigures { connections: (room.taken + room.leaving) as u64, ..room.figures }
    }

    /// Requests being answered.
    pub(super) fn answering(&self) -> usize {
        *self.busy.borrow()
    }

    /// Waits until no request is being answered.
    pub(super) async fn quiet(&self) {
        // An error would mean that the sender is gone, which is a field of this.
        let _ = self.busy.subscribe().wait_for(|busy| *busy == 0).await;
    }
}

impl Room {
    fn enter(&mut self, bell: &Arc<Notify>) -> u64 {
        let ticket = self.next;
        self.next += 1;
        self.waiting.insert(ticket, Arc::clone(bell));
        ticket
    }

    /// Asks the one that has waited the longest to go.
    fn evict(&mut self) -> bool {
        if self.leaving >= LEAVING {
            return false;
        }
        let Some((_, bell)) = self.waiting.pop_first() else { return false };
        self.figures.evicted += 1;
        self.taken -= 1;
        self.leaving += 1;
        bell.notify_one();
        true
    }
}

impl Seat {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head of a request has come: those that have sent nothing for longer go first.
    pub(super) fn begun(&self) {
        let mut room = self.connections.lock();
        let mut state = self.state();
        if let Some(ticket) = state.ticket
            && room.waiting.remove(&ticket).is_some()
        {
            state.ticket = Some(room.enter(&self.bell));
        }
    }

    /// All of a request has come. Where the connection has been evicted meanwhile, the request is its last; until it goes
    /// it has a place like any other, and not one among those that are leaving, who are few and quick.
    pub(super) fn arrived(&self) {
        let mut room = self.connections.lock();
        let mut state = self.state();
        if let Some(ticket) = state.ticket.take()
            && room.waiting.remove(&ticket).is_none()
        {
            state.evicted = true;
            room.leaving -= 1;
            room.taken += 1;
        }
        state.answered = false;
        if !std::mem::replace(&mut state.busy, true) {
            self.connections.busy.send_modify(|busy| *busy += 1);
        }
    }

    /// An answer is about to be made.
    pub(super) fn answering(self: &Arc<Self>) -> Answering {
        Answering(Arc::clone(self))
    }

    /// The socket has taken everything that it was given.
    pub(super) fn flushed(&self) {
        if !self.state().answered {
            return;
        }
        let mut room = self.connections.lock();
        let mut state = self.state();
        if std::mem::replace(&mut state.answered, false) && std::mem::replace(&mut state.busy, false) {
            if !state.evicted {
                state.ticket = Some(room.enter(&self.bell));
            }
            self.connections.busy.send_modify(|busy| *busy -= 1);
        }
    }

    /// Whether a request is being answered now.
    pub(super) fn is_busy(&self) -> bool {
        self.state().busy
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.state().answered = true;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut room = self.connections.lock();
        let state = self.state();
        if state.ticket.is_some_and(|ticket| room.waiting.remove(&ticket).is_none()) {
            room.leaving -= 1;
        } else {
            room.taken -= 1;
        }
        if state.busy {
            self.connections.busy.send_modify(|busy| *busy -= 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(seat: &Arc<Seat>) {
        drop(seat.answering());
        seat.flushed();
    }

    #[test]
    fn the_longest_waiting_makes_room_and_busy_ones_do_not() {
        let connections = Connections::new(2);
        let (first, second) = (connections.seat().expect("room"), connections.seat().expect("room"));
        first.arrived();
        let third = connections.seat().expect("the second makes room");
        assert_eq!(connections.figures().connections, 3, "one is still leaving");
        drop(second);
        assert_eq!(connections.figures().connections, 2);
        third.arrived();
        assert!(connections.seat().is_none(), "all are busy");
        drop(first.answering());
        assert!(first.is_busy() && connections.seat().is_none(), "its answer is still on its way");
        first.flushed();
        let fourth = connections.seat().expect("the first makes room");
        drop((third, first, fourth));
        let expected = HttpFigures { connections: 0, evicted: 2, turned_away: 2, stalled: 0 };
        assert_eq!((connections.figures(), *connections.busy.borrow()), (expected, 0));
    }

    #[test]
    fn who_has_just_begun_a_request_goes_last() {
        let connections = Connections::new(2);
        let (first, second) = (connections.seat().expect("room"), connections.seat().expect("room"));
        first.begun();
        let third = connections.seat().expect("the second makes room");
        first.arrived();
        answered(&first);
        drop(second);
        let fourth = connections.seat().expect("the third makes room");
        first.arrived();
        assert!(!first.state().evicted);
        drop((first, third, fourth));
        assert_eq!(connections.figures().connections, 0);
    }

    #[test]
    fn a_request_that_comes_while_its_connection_is_evicted_is_still_served() {
        let connections = Connections::new(1);
        let first = connections.seat().expect("room");
        let second = connections.seat().expect("the first makes room");
        first.arrived();
        assert!(first.is_busy());
        answered(&first);
        drop(first);
        assert_eq!(connections.figures().connections, 1);
        drop(second);
        assert_eq!(connections.figures().connections, 0);
    }

    #[test]
    fn those_that_stay_for_a_last_answer_do_not_keep_others_from_leaving() {
        let limit = LEAVING + 8;
        let connections = Connections::new(limit);
        let mut seats: Vec<_> = (0..limit + LEAVING).map(|_| connections.seat().expect("room")).collect();
        // As many as may leave at once have been asked to, and have all of a request just then.
        seats.iter().take(LEAVING).for_each(|seat| seat.arrived());
        assert!(connections.seat().is_none(), "there are as many over the bound as can leave at once");
        assert_eq!(connections.figures().connections, (limit + LEAVING) as u64);
        drop(seats.drain(LEAVING..2 * LEAVING));
        let newer = connections.seat().expect("those that wait make room as ever");
        assert_eq!(connections.figures().connections, limit as u64 + 1, "one is on its way out");
        drop((newer, seats));
        assert_eq!((connections.figures().connections, *connections.busy.borrow()), (0, 0));
    }

    #[test]
    fn not_too_many_are_leaving_at_once() {
        let connections = Connections::new(1);
        let mut leaving: Vec<_> = (0..=LEAVING).map(|_| connections.seat().expect("room")).collect();
        assert!(connections.seat().is_none());
        leaving.remove(0);
        assert!(connections.seat().is_some());
    }
}
