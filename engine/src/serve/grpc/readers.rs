//! Streams whose client has stopped reading.
//!
//! HTTP/2 asks a stream for its next event as long as the client's window has room, and not at all while it has none. Whatever
//! is open is looked at from time to time: where an event has been there for too long and nobody came to ask for it, the stream
//! goes, and with it its buffer, its place and its request. A client that reads on all the same is told.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;
use tokio_stream::Stream;
use tonic::Status;

/// The least time between two looks.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);
/// The most.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// All streams that are open.
#[derive(Debug)]
pub(super) struct Readers {
    patience: Duration,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    streams: FxHashMap<u64, Arc<dyn Look>>,
}

/// A stream as the one who looks at it sees it.
trait Look: Send + Sync {
    /// Gives the stream up when it was not read for `patience`.
    fn look(&self, now: Instant, patience: Duration);
}

/// A stream that has to be read.
pub(super) struct Watched<S: Stream> {
    slot: Arc<Slot<S>>,
    number: u64,
    readers: Arc<Readers>,
}

struct Slot<S: Stream>(Mutex<State<S>>);

struct State<S: Stream> {
    /// Gone when it is over or was given up.
    stream: Option<S>,
    /// What was found by a look and not asked for since.
    ready: Option<S::Item>,
    /// Whoever waits for the next event.
    waker: Option<Waker>,
    /// Whether anybody asked since the last look.
    asked: bool,
    /// The first look at which there was an event that nobody asked for.
    since: Option<Instant>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("streams", &self.streams.len()).finish_non_exhaustive()
    }
}

impl Readers {
    /// `patience` is how long a client may leave unread what is there.
    pub(super) fn new(patience: Duration) -> Arc<Self> {
        Arc::new(Self { patience, open: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often to look.
    pub(super) fn period(&self) -> Duration {
        (self.patience / 4).clamp(SHORTEST_LOOK, LONGEST_LOOK)
    }

    /// Looks at every stream. Within a tokio task this has to be unconstrained: otherwise its budget hides events.
    pub(super) fn look(&self, now: Instant) {
        // To drop a stream takes locks of its own.
        let streams: Vec<_> = self.lock().streams.values().cloned().collect();
        for stream in streams {
            stream.look(now, self.patience);
        }
    }

    /// Opens a stream.
    pub(super) fn watch<S, T>(self: &Arc<Self>, stream: S) -> Watched<S>
    where
        S: Stream<Item = Result<T, Status>> + Unpin + Send + 'static,
        T: Send + 'static,
    {
        let state = State { stream: Some(stream), ready: None, waker: None, asked: true, since: None };
        let slot = Arc::new(Slot(Mutex::new(state)));
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        open.streams.insert(number, Arc::clone(&slot) as _);
        Watched { slot, number, readers: Arc::clone(self) }
    }
}

impl<S: Stream> Slot<S> {
    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S, T> Look for Slot<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin + Send,
    T: Send,
{
    fn look(&self, now: Instant, patience: Duration) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if std::mem::take(&mut state.asked) {
            state.since = None;
            return;
        }
        let Some(stream) = &mut state.stream else { return };
        if state.ready.is_none() {
            // Whoever waits goes on waiting: it is the one to be woken.
            let mut context = Context::from_waker(state.waker.as_ref().unwrap_or(Waker::noop()));
            match Pin::new(stream).poll_next(&mut context) {
                Poll::Pending => return,
                Poll::Ready(Some(event)) => state.ready = Some(event),
                Poll::Ready(None) => state.stream = None,
            }
            if let Some(waker) = state.waker.take() {
                waker.wake();
            }
        }
        if now.duration_since(*state.since.get_or_insert(now)) >= patience && state.stream.take().is_some() {
            let why = format!("what was sent was not read for {patience:?}; the call has been given up");
            state.ready = Some(Err(Status::aborted(why)));
        }
    }
}

impl<S: Stream + Unpin> Stream for Watched<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut guard = self.slot.lock();
        let state = &mut *guard;
        state.asked = true;
        if let Some(event) = state.ready.take() {
            return Poll::Ready(Some(event));
        }
        let Some(stream) = &mut state.stream else { return Poll::Ready(None) };
        let polled = Pin::new(stream).poll_next(context);
        match &polled {
            Poll::Pending => match &mut state.waker {
                Some(waker) => waker.clone_from(context.waker()),
                none @ None => *none = Some(context.waker().clone()),
            },
            Poll::Ready(Some(_)) => state.waker = None,
            Poll::Ready(None) => state.stream = None,
        }
        polled
    }
}

impl<S: Stream> Drop for Watched<S> {
    fn drop(&mut self) {
        let forgotten = self.readers.lock().streams.remove(&self.number);
        drop(forgotten);
        // A look may hold the slot for a moment longer; what is in it goes now.
        let stream = self.slot.lock().stream.take();
        drop(stream);
    }
}
