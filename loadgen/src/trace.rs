//! Traces of real traffic: when requests came, how long they were, and which prefixes they shared.
//!
//! A recording of a run is a trace as well: of the load that was offered, requests included that were shed.
//!
//! A trace is read once, before anything is sent: a broken or unservable row is refused then, and nothing is read or parsed
//! while the run goes on. The file is streamed; what is kept is a few words a row, bounded by [`MAX_BYTES`].

mod azure;
mod mooncake;
mod read;
mod recorded;
mod turns;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

pub use read::{MAX_BYTES, ReadOptions};
pub use recorded::is_recording;

use crate::recording::{Incomplete, ReadError};
use crate::schedule::Segment;
use crate::text::{Malformed, serde_as_text};
use crate::time::Micros;
use turns::Links;

/// Tokens of a block that a Mooncake trace names by a hash.
pub const BLOCK_TOKENS: u32 = 512;

/// How a trace file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceFormat {
    /// Told from how the file begins.
    #[default]
    Auto,
    /// CSV with `TIMESTAMP,ContextTokens,GeneratedTokens`, as the Azure public data set has it.
    Azure,
    /// JSON lines with `timestamp` (ms), `input_length`, `output_length` and `hash_ids` (one for each 512 tokens begun), as
    /// Mooncake publishes them.
    Mooncake,
    /// A recording of a run, finished or not.
    Pdtune,
}

impl fmt::Display for TraceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Azure => "azure",
            Self::Mooncake => "mooncake",
            Self::Pdtune => "pdtune",
        })
    }
}

impl FromStr for TraceFormat {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match text {
            "auto" => Ok(Self::Auto),
            "azure" => Ok(Self::Azure),
            "mooncake" => Ok(Self::Mooncake),
            "pdtune" => Ok(Self::Pdtune),
            _ => Err(Malformed::new("a trace format", text, "auto, azure, mooncake, pdtune")),
        }
    }
}

serde_as_text!(TraceFormat);

/// A trace that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file could not be opened or read.
    #[error("cannot read trace {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is not what it should be, or asks for what the target cannot serve.
    #[error("trace {} line {line}: {why}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What was found and what is allowed.
        why: String,
    },
    /// A recording cannot be read.
    #[error(transparent)]
    Recording(#[from] ReadError),
    /// A recorded request is not what it should be, or asks for what the target cannot serve.
    #[error("{}, request {index}: {why}", path.display())]
    Request {
        /// The file.
        path: PathBuf,
        /// Its number in the recorded schedule.
        index: u64,
        /// What was found and what is allowed.
        why: String,
    },
    /// The file has no row.
    #[error("trace {} has no request", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// One request of a trace as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// Since the first row; of a recording, since the start of its run.
    at: Micros,
    input: u32,
    output: u32,
    /// Where its part of [`Trace::prompts`] begins, and how long it is.
    first: usize,
    count: u32,
    clamped: bool,
}

/// What the prompts of all rows are made of, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Prompts {
    /// Of tokens that nobody shares.
    Own,
    /// Of blocks, by their hashes.
    Blocks(Vec<u64>),
    /// Of these segments.
    Segments(Vec<Segment>),
}

/// A trace, checked against what the target can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Never empty, in order of time.
    rows: Vec<Row>,
    prompts: Prompts,
    format: TraceFormat,
    /// When its schedule ended.
    end: Option<Micros>,
    incomplete: Option<Incomplete>,
    /// Rows that are turns of sessions.
    links: Links,
}

/// One request of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRequest {
    /// Since the start of the schedule, at speed 1.
    pub at: Micros,
    /// Tokens of its prompt.
    pub input_tokens: u32,
    /// Tokens of its answer.
    pub output_tokens: u32,
    /// What its prompt is made of.
    pub segments: Vec<Segment>,
    /// Whether a length was cut to what the target can serve.
    pub clamped: bool,
}

impl Trace {
    /// Requests in it, at least one.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Always false: a trace without a request is refused when it is read.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The format it was read in, never [`TraceFormat::Auto`].
    pub fn format(&self) -> TraceFormat {
        self.format
    }

    /// From its first request to its last.
    pub fn span(&self) -> Micros {
        let (first, last) = (self.rows.first(), self.rows.last());
        last.zip(first).map_or(Micros::ZERO, |(last, first)| last.at.since(first.at))
    }

    /// When its last request was due, at speed 1.
    pub fn last_due(&self) -> Micros {
        self.rows.last().map_or(Micros::ZERO, |row| row.at)
    }

    /// When the schedule of a recorded run ended, at speed 1: it goes on behind its last request. `None` where that is not
    /// known, or only a part is replayed.
    pub fn end(&self) -> Option<Micros> {
        self.end
    }

    /// Whether, and why, it is a recording that stops before its end: requests that were in flight then are missing.
    pub fn incomplete(&self) -> Option<Incomplete> {
        self.incomplete
    }

    /// Requests per second between the first and the last request; of requests that all come at once, their number.
    pub fn mean_rate(&self) -> f64 {
        let span = self.span().as_secs_f64();
        if span > 0.0 { (self.len() as f64 - 1.0) / span } else { self.len() as f64 }
    }

    /// Requests of which a length was cut.
    pub fn clamped(&self) -> u64 {
        self.rows.iter().filter(|row| row.clamped).count() as u64
    }

    /// Request `index`; `None` behind the last.
    pub fn request(&self, index: usize) -> Option<TraceRequest> {
        let row = self.rows.get(index)?;
        Some(TraceRequest {
            at: row.at,
            input_tokens: row.input,
            output_tokens: row.output,
            segments: self.segments(index as u64, *row),
            clamped: row.clamped,
        })
    }

    /// Blocks with equal hashes are equal segments, so that prompts with equal chains really share them. Without hashes, a
    /// prompt is one segment that nobody shares.
    fn segments(&self, index: u64, row: Row) -> Vec<Segment> {
        let part = row.first..row.first + row.count as usize;
        match &self.prompts {
            Prompts::Own => vec![Segment(index, row.input)],
            Prompts::Blocks(hashes) => {
                let left = |i: usize| row.input - i as u32 * BLOCK_TOKENS;
                let blocks = hashes.get(part).unwrap_or_default().iter().enumerate();
                blocks.map(|(i, hash)| Segment(*hash, left(i).min(BLOCK_TOKENS))).collect()
            }
            Prompts::Segments(segments) => segments.get(part).unwrap_or_default().to_vec(),
        }
    }
}
