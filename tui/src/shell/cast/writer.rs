//! The thread that brings lines to the file.

use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Most bytes of lines on their way to the file, some minutes of a busy screen; a line more ends the cast.
const QUEUE_BYTES: usize = 8 << 20;
/// How long the program waits at its end for the last lines to be written.
const PATIENCE: Duration = Duration::from_secs(10);

/// The screen's end of the queue.
#[derive(Debug)]
pub(super) struct Writer {
    name: String,
    /// `None` once the cast has ended.
    lines: Option<Sender<Vec<u8>>>,
    /// Bytes handed over and not written. It bounds the channel, which has no bound of its own.
    queued: Arc<AtomicUsize>,
    failed: Arc<Mutex<Option<String>>>,
    /// Disconnected once everything is in the file.
    done: Receiver<()>,
    ended: Option<String>,
    told: bool,
}

impl Writer {
    /// Writes lines to `file`, which is called `name` in messages.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn start(name: String, file: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, queue) = channel();
        let (at_work, done) = channel();
        let (queued, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
        thread::Builder::new().name("asciicast".to_owned()).spawn({
            let (queued, failed) = (Arc::clone(&queued), Arc::clone(&failed));
            move || {
                let _at_work: Sender<()> = at_work;
                if let Err(error) = drain(&queue, &queued, file) {
                    *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                }
            }
        })?;
        Ok(Self { name, lines: Some(lines), queued, failed, done, ended: None, told: false })
    }

    /// Hands a line over, without ever waiting. Where there is no room, or the file could not be written, the cast ends.
    pub(super) fn push(&mut self, line: Vec<u8>) {
        let Some(lines) = &self.lines else { return };
        let bytes = line.len();
        if self.queued.fetch_add(bytes, Ordering::Relaxed) + bytes > QUEUE_BYTES {
            self.end("it was written more slowly than the screen was drawn");
        } else if lines.send(line).is_err() {
            self.end(&self.failure().unwrap_or_else(|| "its thread has ended".to_owned()));
        }
    }

    /// Why the cast has ended, told once.
    pub(super) fn take_news(&mut self) -> Option<String> {
        let news = self.ended.clone().filter(|_| !self.told);
        self.told |= news.is_some();
        news
    }

    /// Waits until everything is in the file.
    ///
    /// # Errors
    /// Why the cast is not whole.
    pub(super) fn close(mut self) -> Result<(), String> {
        self.lines = None;
        if self.done.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            self.end("its last lines are still not written");
        } else if let Some(failure) = self.failure() {
            self.end(&failure);
        }
        self.ended.map_or(Ok(()), Err)
    }

    fn failure(&self) -> Option<String> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first reason counts.
    fn end(&mut self, why: &str) {
        self.lines = None;
        let name = &self.name;
        self.ended.get_or_insert_with(|| format!("the cast {name} ends before the screen did: {why}"));
    }
}

/// Writes until nobody sends any more. What waits is written together, and is in the file before more is waited for.
fn drain(queue: &Receiver<Vec<u8>>, queued: &AtomicUsize, file: impl Write) -> io::Result<()> {
    let mut file = BufWriter::new(file);
    loop {
        let line = match queue.try_recv() {
            Ok(line) => line,
            Err(TryRecvError::Disconnected) => return file.flush(),
            Err(TryRecvError::Empty) => {
                file.flush()?;
                let Ok(line) = queue.recv() else { return Ok(()) };
                line
            }
        };
        file.write_all(&line)?;
        queued.fetch_sub(line.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{SyncSender, sync_channel};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A disk that takes nothing before it is let go.
    struct Stuck(Receiver<()>, SyncSender<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.1.try_send(());
            let _ = self.0.recv();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_is_in_the_file_once_it_is_closed() {
        let file = Memory::default();
        let mut writer = Writer::start("a.cast".to_owned(), file.clone()).expect("a thread");
        for number in 0..1000 {
            writer.push(format!("{number}\n").into_bytes());
        }
        assert_eq!((writer.take_news(), writer.close()), (None, Ok(())));
        let expected: Vec<u8> = (0..1000).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        assert_eq!(*file.0.lock().expect("whole"), expected);
    }

    #[test]
    fn a_disk_that_is_too_slow_ends_the_cast_and_holds_up_nobody() {
        let (go, gate) = channel();
        let (reached, writing) = sync_channel(1);
        let mut writer = Writer::start("a.cast".to_owned(), Stuck(gate, reached)).expect("a thread");
        writer.push(b"1\n".to_vec());
        writing.recv().expect("the thread writes");
        for _ in 0..=QUEUE_BYTES >> 20 {
            writer.push(vec![b' '; 1 << 20]);
        }
        let news = writer.take_news().expect("the cast has ended");
        assert!(news.contains("a.cast ends before the screen did: it was written more slowly"), "{news}");
        assert_eq!(writer.take_news(), None, "told once");
        writer.push(b"2\n".to_vec());
        drop(go);
        assert_eq!(writer.close(), Err(news));
    }

    #[test]
    fn a_file_that_cannot_be_written_ends_the_cast() {
        let writer = Writer::start("a.cast".to_owned(), Full);
        let mut writer = writer.expect("a thread");
        writer.push(b"1\n".to_vec());
        let why = writer.close().expect_err("nothing was written");
        assert!(why.starts_with("the cast a.cast ends before the screen did: "), "{why}");
    }
}
