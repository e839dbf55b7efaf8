//! What came from a remote target and has not been read yet.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::ClientSide;
use crate::target::TargetEvent;

/// Between the first event and the moment it is read: thousands of tokens a second shall not wake the reader thousands of
/// times. All stamps are older than this.
const GATHER: Duration = Duration::from_millis(1);
/// Events that are read without waiting for more.
const ENOUGH: usize = 512;

/// A bounded queue from tasks, which wait for room, to one thread, which waits for events.
#[derive(Debug)]
pub(in crate::target) struct Inbox {
    state: Mutex<State>,
    news: Condvar,
    /// A permit for each event that there is room for.
    room: Semaphore,
    limit: usize,
    client: Arc<ClientSide>,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<TargetEvent>,
    closed: bool,
}

impl Inbox {
    pub(super) fn new(limit: usize, client: Arc<ClientSide>) -> Self {
        Self { state: Mutex::default(), news: Condvar::new(), room: Semaphore::new(limit), limit, client }
    }

    /// Moves `events` into the queue, in their order. Where there is no room it waits, and counts that.
    pub(in crate::target) async fn push(&self, events: &mut Vec<TargetEvent>) {
        while !events.is_empty() {
            let count = events.len().min(self.limit);
            let permits = if let Ok(permits) = self.room.try_acquire_many(count as u32) {
                permits
            } else {
                self.client.held_up.fetch_add(1, Ordering::Relaxed);
                let Ok(permits) = self.room.acquire_many(count as u32).await else { return events.clear() };
                permits
            };
            permits.forget();
            let mut state = self.lock();
            let before = state.events.len();
            state.events.extend(events.drain(..count));
            let after = state.events.len();
            drop(state);
            if before == 0 || (before < ENOUGH && after >= ENOUGH) {
                self.news.notify_one();
            }
        }
    }

    /// Nothing will come any more; whoever waits for room has waited in vain.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.news.notify_one();
    }

    /// Appends everything new to `into`, waiting up to `wait` for the first of it; `false` once nothing will come any more.
    pub(super) fn drain(&self, into: &mut Vec<TargetEvent>, wait: Duration) -> bool {
        let waiting = |state: &mut State, most| state.events.len() < most && !state.closed;
        let wait_for = |state, most, wait| {
            let waited = self.news.wait_timeout_while(state, wait, |state| waiting(state, most));
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        let mut state = wait_for(self.lock(), 1, wait);
        if !state.events.is_empty() {
            state = wait_for(state, ENOUGH, GATHER);
        }
        let count = state.events.len();
        into.append(&mut state.events);
        let open = !state.closed;
        drop(state);
        self.room.add_permits(count);
        open
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Micros;

    fn sent(index: u64) -> TargetEvent {
        TargetEvent::Sent { index, at: Micros(index) }
    }

    #[test]
    fn what_is_pushed_comes_out_in_order_and_more_than_fits_waits_and_is_counted() {
        let client = Arc::new(ClientSide::default());
        let inbox = Arc::new(Inbox::new(4, Arc::clone(&client)));
        let pushing = {
            let inbox = Arc::clone(&inbox);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                runtime.block_on(async {
                    inbox.push(&mut (0..3).map(sent).collect()).await;
                    inbox.push(&mut (3..13).map(sent).collect()).await;
                });
                inbox.close();
            })
        };
        let mut all = Vec::new();
        let mut fresh = Vec::new();
        loop {
            let open = inbox.drain(&mut fresh, Duration::from_mins(1));
            assert!(fresh.len() <= 4, "never more than fits");
            all.append(&mut fresh);
            if !open {
                break;
            }
        }
        pushing.join().expect("it pushed");
        assert_eq!(all, (0..13).map(sent).collect::<Vec<_>>());
        assert!(client.held_up() >= 1, "ten do not fit into one place");
    }

    #[test]
    fn reading_nothing_ends_after_the_wait() {
        let inbox = Inbox::new(4, Arc::default());
        assert!(inbox.drain(&mut Vec::new(), Duration::ZERO));
        inbox.close();
        assert!(!inbox.drain(&mut Vec::new(), Duration::from_mins(1)));
    }
}
