//! What can go wrong with a recording.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::run::SCHEMA;

/// A recording could not be written. The run ends.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WriteError {
    /// Nothing is ever overwritten.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The file could not be made.
    #[error("cannot write a recording to {}: {why}", path.display())]
    Create {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: Arc<io::Error>,
    },
    /// Writing failed on the way. What was written before is readable.
    #[error("writing the recording {} failed: {why}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: Arc<io::Error>,
    },
}

impl WriteError {
    /// The same for little room: the reason comes before the name of the file.
    pub fn brief(&self) -> String {
        match self {
            Self::Exists(_) => self.to_string(),
            Self::Create { path, why } | Self::Write { path, why } => format!("{why}: {}", path.display()),
        }
    }
}

/// A recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be opened.
    #[error("cannot open {}: {why}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// The file does not start with a run record.
    #[error("{} is not a recording: {why}", path.display())]
    NotARecording {
        /// Which file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// It was written in a format that this version does not know.
    #[error("{} has schema {found}, this version reads schema {SCHEMA}", path.display())]
    Schema {
        /// Which file.
        path: PathBuf,
        /// The version of its format.
        found: u32,
    },
    /// A record is wrong.
    #[error("{}, record {number}: {why}", path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// The record, counted from 1, the first one included.
        number: u64,
        /// What is wrong.
        why: String,
    },
}
