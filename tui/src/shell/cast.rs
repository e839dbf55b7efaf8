//! The session as an asciicast (version 2): every byte for the terminal with its time, one JSON array a line.
//!
//! The screen is never held up: it hands events to a thread of its own, through a queue that is bounded in bytes. Where that is
//! full, because the disk is slower than the screen, the cast *ends* there and the operator is told. Leaving events out
//! would spoil every frame after them; what was written until then is a whole cast.
//!
//! The file holds what was on the screen, the name of the terminal (`TERM`) and times, nothing else of the environment.

mod events;
mod writer;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use loadgen::clock::{RunClock, unix_micros};
use ratatui::layout::Size;

use events::Events;
use writer::Writer;

/// A cast that is being written.
#[derive(Debug)]
pub struct Cast {
    path: PathBuf,
    clock: RunClock,
    events: Events,
    writer: Writer,
    size: Size,
}

impl Cast {
    /// Makes the file and writes its header.
    ///
    /// # Errors
    /// When the file exists or cannot be made, or the size of the terminal is not known.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let (width, height) = crossterm::terminal::size().context("cannot ask for the size of the terminal")?;
        let file = match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!("{} exists already\nhint: name another file for --asciicast, or move it away", path.display())
            }
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
        };
        let writer = Writer::start(path.display().to_string(), file).context("cannot start a thread")?;
        let term = std::env::var("TERM").ok();
        let size = Size { width, height };
        let mut cast =
            Self { path: path.to_owned(), clock: RunClock::start(), events: Events::default(), writer, size };
        cast.writer.push(events::header(size, unix_micros() / 1_000_000, term.as_deref()));
        Ok(cast)
    }

    /// Takes the file away again: there was nothing to see.
    pub fn discard(self) {
        // A file that cannot be removed is empty but for its header, and in nobody's way.
        let _ = std::fs::remove_file(&self.path);
    }

    /// The terminal was sent these bytes.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.events.sent(bytes);
    }

    /// All of a frame was sent, for a screen of `size`.
    pub(super) fn frame(&mut self, size: Size) {
        let now = self.clock.now();
        if size != self.size {
            self.size = size;
            self.writer.push(events::resized(now, size));
        }
        if let Some(line) = self.events.take(now) {
            self.writer.push(line);
        }
    }

    /// Why the cast ended before the screen did, told once.
    pub(super) fn take_news(&mut self) -> Option<String> {
        self.writer.take_news()
    }

    /// Writes what is left: how the terminal was given back.
    pub(super) fn close(mut self, last: &[u8]) -> Result<(), String> {
        self.events.sent(last);
        if let Some(line) = self.events.take(self.clock.now()) {
            self.writer.push(line);
        }
        self.writer.close()
    }
}
