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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const NO_PATIENCE: Duration = Duration::ZERO;

    #[test]
    fn lines_come_out_in_order_and_never_more_than_the_limit_is_held() {
        let queue = Queue::new(10);
        let lines: Vec<String> = (0..500).map(|line| format!("{line}\n")).collect();
        let mut received = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                for line in &lines {
                    queue.push(line.as_bytes(), 4).expect("nothing fails");
                }
                queue.close();
            });
            let mut taken = Vec::new();
            loop {
                let closed = queue.take(&mut taken, 4, Duration::from_mins(1));
                assert!(taken.len() <= 10);
                let held = queue.lock();
                assert!(held.lines.len() + held.writing <= 10);
                drop(held);
                received.append(&mut taken);
                queue.written();
                if closed {
                    break;
                }
            }
        });
        assert_eq!(received, lines.concat().into_bytes());
    }

    #[test]
    fn a_line_above_the_limit_passes_alone() {
        let queue = Queue::new(4);
        queue.push(b"longer than four\n", 4).expect("nothing fails");
        let mut taken = Vec::new();
        queue.take(&mut taken, 4, NO_PATIENCE);
        assert_eq!(taken, b"longer than four\n");
    }

    #[test]
    fn a_failure_releases_whoever_waits_for_room() {
        let queue = Queue::new(4);
        queue.push(b"1234", 4).expect("there is room");
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.push(b"5678", 4));
            queue.fail(io::Error::other("the disk is full"));
            let error = waiting.join().expect("no panic").expect_err("the failure");
            assert_eq!(error.to_string(), "the disk is full");
        });
        assert!(queue.push(b"9", 4).is_err(), "and everybody after that");
    }
}
