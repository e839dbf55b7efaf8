//! The queue between whoever records and the recorder thread.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Whole lines on their way to the file, bounded by bytes. Nothing is ever dropped: when it is full, pushing blocks until
/// there is room or the recording has failed.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Signalled when there is something to write or nothing more will come.
    filled: Condvar,
    /// Signalled when there is room again or the recording has failed.
    room: Condvar,
    /// Most bytes held, those being written included.
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Bytes taken by the recorder thread and not yet written.
    writing: usize,
    closed: bool,
    failed: Option<Arc<io::Error>>,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), room: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line; wakes the recorder thread once there are `batch` bytes. A line longer than the limit passes alone.
    pub(super) fn push(&self, line: &[u8], batch: usize) -> Result<(), Arc<io::Error>> {
        let full = |state: &mut State| {
            let held = state.lines.len() + state.writing;
            held > 0 && held + line.len() > self.limit && state.failed.is_none()
        };
        let mut state = self.room.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &state.failed {
            return Err(Arc::clone(error));
        }
        state.lines.extend_from_slice(line);
        // A writer waits with room for everybody else only as long as its batch is small.
        if state.lines.len() >= batch.min(self.limit / 2) {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// Moves everything into `lines`, which is empty, once there are `batch` bytes, nothing more will come, or `patience`
    /// has passed. Tells whether nothing more will come.
    pub(super) fn take(&self, lines: &mut Vec<u8>, batch: usize, patience: Duration) -> bool {
        let batch = batch.min(self.limit / 2);
        let waiting = |state: &mut State| state.lines.len() < batch && !state.closed;
        let (mut state, _) =
            self.filled.wait_timeout_while(self.lock(), patience, waiting).unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.lines, lines);
        state.writing = lines.len();
        state.closed
    }

    /// What was taken is written.
    pub(super) fn written(&self) {
        self.lock().writing = 0;
        self.room.notify_all();
    }

    /// Nothing can be written any more.
    pub(super) fn fail(&self, error: io::Error) {
        self.lock().failed = Some(Arc::new(error));
        self.room.notify_all();
    }

    /// Why nothing can be written any more.
    pub(super) fn failure(&self) -> Option<Arc<io::Error>> {
        self.lock().failed.clone()
    }
}
