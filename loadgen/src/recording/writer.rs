//! Writes a recording on a thread of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use zstd::bulk::Compressor;

use super::error::WriteError;
use super::queue::Queue;
use super::record::Record;
use super::run::{EndRecord, RunRecord};
use crate::time::Micros;

/// Most bytes of lines in one frame, unless a single line is longer.
const FRAME_BYTES: usize = 256 << 10;
/// Longest time that a record waits for its frame.
const FRAME_PATIENCE: Duration = Duration::from_secs(1);
/// How often the file is forced to the disk.
const SYNC_INTERVAL: Micros = Micros(5_000_000);
/// Most bytes on their way to the file.
const QUEUE_BYTES: usize = 16 << 20;
/// Compression level: the default of zstd, faster than any disk.
const LEVEL: i32 = 3;

/// A finished recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

/// A recording that is being written to `NAME.partial` and gets its name when it is finished.
///
/// Dropping it without finishing writes what was pushed and leaves the `.partial`, which every reader takes.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    partial: PathBuf,
    queue: Arc<Queue>,
    bytes: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
    line: Vec<u8>,
}

impl Recorder {
    /// Makes the file and writes the first record. `now` is the run's clock, which says when to force the file to disk;
    /// the recorder's thread reads it after every round of writing.
    ///
    /// # Errors
    /// When the file, or the `.partial` of an earlier run, exists or cannot be made.
    pub fn create(path: &Path, run: &RunRecord, now: impl Fn() -> Micros + Send + 'static) -> Result<Self, WriteError> {
        let partial = partial(path);
        for taken in [path, &partial] {
            if fs::symlink_metadata(taken).is_ok() {
                return Err(WriteError::Exists(taken.to_owned()));
            }
        }
        let create = |why| WriteError::Create { path: path.to_owned(), why: Arc::new(why) };
        let file = OpenOptions::new().write(true).create_new(true).open(&partial).map_err(create)?;
        let queue = Arc::new(Queue::new(QUEUE_BYTES));
        let bytes = Arc::new(AtomicU64::new(0));
        let thread = thread::Builder::new().name("recorder".to_owned()).spawn({
            let (queue, bytes) = (Arc::clone(&queue), Arc::clone(&bytes));
            move || {
                if let Err(error) = drain(&queue, file, &bytes, now) {
                    queue.fail(error);
                }
            }
        });
        let mut recorder = Self {
            path: path.to_owned(),
            partial,
            queue,
            bytes,
            thread: Some(thread.map_err(create)?),
            line: Vec::new(),
        };
        recorder.push_line(|line| run.write(line))?;
        Ok(recorder)
    }

    /// Appends a record. Blocks while the queue is full, so this is called from the aggregator and never from pacing.
    ///
    /// # Errors
    /// When writing has failed, at this record or an earlier one.
    pub fn push(&mut self, record: &Record) -> Result<(), WriteError> {
        self.push_line(|line| record.write(line))
    }

    /// Bytes in the file so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Writes the last record, forces the file to disk and gives it its name.
    ///
    /// # Errors
    /// When writing has failed, or something has taken the name meanwhile; the `.partial` is left then.
    pub fn finish(mut self, end: &EndRecord) -> Result<Recorded, WriteError> {
        self.push_line(|line| end.write(line))?;
        self.close();
        if let Some(why) = self.queue.failure() {
            return Err(self.failed(why));
        }
        if fs::symlink_metadata(&self.path).is_ok() {
            return Err(WriteError::Exists(self.path.clone()));
        }
        fs::rename(&self.partial, &self.path).map_err(|why| self.failed(Arc::new(why)))?;
        sync_folder(&self.path);
        Ok(Recorded { path: self.path.clone(), bytes: self.bytes() })
    }

    fn push_line(&mut self, write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> Result<(), WriteError> {
        self.line.clear();
        let pushed = write(&mut self.line)
            .map_err(|error| Arc::new(io::Error::from(error)))
            .and_then(|()| self.queue.push(&self.line, FRAME_BYTES));
        pushed.map_err(|why| self.failed(why))
    }

    fn failed(&self, why: Arc<io::Error>) -> WriteError {
        WriteError::Write { path: self.partial.clone(), why }
    }

    /// Waits until everything pushed is in the file.
    fn close(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            self.queue.fail(io::Error::other("the recorder thread panicked"));
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

/// The name of a recording that is not finished.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Makes the new name durable. Not every file system can, and the recording is safe under its old name if this one cannot.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        drop(folder.sync_all());
    }
}

/// Where frames go.
trait Sink: Write {
    /// Forces what was written to the disk.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Writes what comes through the queue until nothing more will come.
fn drain(queue: &Queue, mut sink: impl Sink, written: &AtomicU64, now: impl Fn() -> Micros) -> io::Result<()> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    let mut synced = now();
    let mut lines = Vec::new();
    loop {
        let closed = queue.take(&mut lines, FRAME_BYTES, FRAME_PATIENCE);
        let mut rest = lines.as_slice();
        while !rest.is_empty() {
            let (frame, later) = rest.split_at(frame_length(rest));
            let compressed = compressor.compress(frame)?;
            sink.write_all(&compressed)?;
            sink.flush()?;
            written.fetch_add(compressed.len() as u64, Ordering::Relaxed);
            rest = later;
        }
        lines.clear();
        queue.written();
        if closed || now().since(synced) >= SYNC_INTERVAL {
            sink.sync()?;
            synced = now();
        }
        if closed {
            return Ok(());
        }
    }
}

/// The length of the next frame: as many whole lines as fit, at least one.
fn frame_length(lines: &[u8]) -> usize {
    if lines.len() <= FRAME_BYTES {
        return lines.len();
    }
    let fitting = lines[..FRAME_BYTES].iter().rposition(|byte| *byte == b'\n');
    let last = fitting.or_else(|| lines.iter().position(|byte| *byte == b'\n'));
    last.map_or(lines.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Counts what is asked of a file, and refuses writes once `room` bytes are in it.
    #[derive(Default)]
    struct Disk {
        room: usize,
        frames: Vec<Vec<u8>>,
        syncs: usize,
    }

    impl Write for &mut Disk {
        fn write(&mut self, frame: &[u8]) -> io::Result<usize> {
            self.room = self.room.checked_sub(frame.len()).ok_or(io::ErrorKind::StorageFull)?;
            self.frames.push(zstd::decode_all(frame)?);
            Ok(frame.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink for &mut Disk {
        fn sync(&mut self) -> io::Result<()> {
            self.syncs += 1;
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_ends_the_recording_with_the_reason() {
        let queue = Queue::new(QUEUE_BYTES);
        queue.push(b"a line\n", FRAME_BYTES).expect("there is room");
        queue.close();
        let error = drain(&queue, &mut Disk::default(), &AtomicU64::new(0), || Micros::ZERO).expect_err("no room");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn frames_hold_whole_lines_and_a_long_line_has_its_own() {
        let queue = Queue::new(QUEUE_BYTES);
        let mut short = vec![b's'; 100_000];
        short.push(b'\n');
        let mut long = vec![b'l'; 2 * FRAME_BYTES];
        long.push(b'\n');
        for line in [&short, &short, &short, &long, &short] {
            queue.push(line, usize::MAX).expect("there is room");
        }
        queue.close();
        let mut disk = Disk { room: QUEUE_BYTES, ..Disk::default() };
        drain(&queue, &mut disk, &AtomicU64::new(0), || Micros::ZERO).expect("room");
        let lengths: Vec<usize> = disk.frames.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2 * short.len(), short.len(), long.len(), short.len()]);
    }

    #[test]
    fn the_file_is_forced_to_disk_every_five_seconds_and_at_the_end() {
        let queue = Queue::new(QUEUE_BYTES);
        let time = Cell::new(0);
        let mut disk = Disk { room: QUEUE_BYTES, ..Disk::default() };
        // The clock is asked once at the start, then once after every round, and once more after forcing.
        let clock = || {
            let now = time.get();
            time.set(now + 2);
            if now >= 14 {
                queue.close();
            } else {
                queue.push(&vec![b'\n'; FRAME_BYTES], FRAME_BYTES).expect("there is room");
            }
            Micros(now * 1_000_000)
        };
        drain(&queue, &mut disk, &AtomicU64::new(0), clock).expect("room");
        assert_eq!(disk.syncs, 3, "at 6 s, at 14 s and at the end");
    }
}
