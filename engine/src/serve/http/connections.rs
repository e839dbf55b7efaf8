//! Seats for connections: a bounded number, and idle ones make room.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::serve::metrics::HttpFigures;

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
    /// Those that answer nothing, the one that has done so for the longest first.
    idle: BTreeMap<u64, Arc<Notify>>,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle(u64),
    Busy,
    Evicted,
}

/// Keeps a connection from being idle while a request is answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

impl Connections {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), room: Mutex::default(), busy: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a new connection, that of the longest idle one if need be; `None` when all are busy.
    pub(super) fn seat(self: &Arc<Self>) -> Option<Arc<Seat>> {
        let mut room = self.lock();
        if room.taken >= self.limit {
            let Some((_, bell)) = room.idle.pop_first() else {
                room.figures.turned_away += 1;
                return None;
            };
            room.figures.evicted += 1;
            room.taken -= 1;
            bell.notify_one();
        }
        room.taken += 1;
        let bell = Arc::new(Notify::new());
        let ticket = room.enter(&bell);
        Some(Arc::new(Seat { connections: Arc::clone(self), bell, state: Mutex::new(State::Idle(ticket)) }))
    }

    /// Counts a connection whose client stopped reading.
    pub(super) fn stalled(&self) {
        self.lock().figures.stalled += 1;
    }

    pub(super) fn figures(&self) -> HttpFigures {
        let room = self.lock();
        HttpFigures { connections: room.taken as u64, ..room.figures }
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
        self.idle.insert(ticket, Arc::clone(bell));
        ticket
    }
}

impl Seat {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request has come.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        let mut room = self.connections.lock();
        let mut state = self.state();
        if let State::Idle(ticket) = *state {
            // Gone when it has just been evicted: then this request is its last.
            *state = if room.idle.remove(&ticket).is_some() { State::Busy } else { State::Evicted };
        }
        self.connections.busy.send_modify(|busy| *busy += 1);
        Busy(Arc::clone(self))
    }

    /// Whether it answers nothing now.
    pub(super) fn is_idle(&self) -> bool {
        matches!(*self.state(), State::Idle(_))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let seat = &self.0;
        let mut room = seat.connections.lock();
        let mut state = seat.state();
        if *state == State::Busy {
            *state = State::Idle(room.enter(&seat.bell));
        }
        seat.connections.busy.send_modify(|busy| *busy -= 1);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut room = self.connections.lock();
        let own = match *self.state() {
            State::Idle(ticket) => room.idle.remove(&ticket).is_some(),
            State::Busy => true,
            State::Evicted => false,
        };
        room.taken -= usize::from(own);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_idle_makes_room_and_busy_ones_do_not() {
        let connections = Connections::new(2);
        let (first, second) = (connections.seat().expect("room"), connections.seat().expect("room"));
        let at_work = first.busy();
        let third = connections.seat().expect("the second makes room");
        assert_eq!(connections.figures().connections, 2);
        drop(second);
        assert_eq!(connections.figures().connections, 2, "its place was given away");
        let third_at_work = third.busy();
        assert!(connections.seat().is_none(), "all are busy");
        drop(at_work);
        assert!(first.is_idle());
        let fourth = connections.seat().expect("the first makes room");
        drop((third_at_work, third, first, fourth));
        let expected = HttpFigures { connections: 0, evicted: 2, turned_away: 1, stalled: 0 };
        assert_eq!(connections.figures(), expected);
    }

    #[test]
    fn a_request_that_comes_while_its_connection_is_evicted_is_still_served() {
        let connections = Connections::new(1);
        let first = connections.seat().expect("room");
        let second = connections.seat().expect("the first makes room");
        let late = first.busy();
        assert!(!first.is_idle());
        drop((late, first));
        assert_eq!(connections.figures().connections, 1);
        drop(second);
        assert_eq!(connections.figures().connections, 0);
    }
}
