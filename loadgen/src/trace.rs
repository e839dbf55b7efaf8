//! Traces of real traffic: when requests came, how long they were, and which prefixes they shared.
//!
//! A trace is read once, before anything is sent: a broken or unservable row is refused then, and nothing is read or parsed
//! while the run goes on. The file is streamed; what is kept is a few words a row, bounded by [`MAX_BYTES`].

mod azure;
mod mooncake;
mod read;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

pub use read::{MAX_BYTES, ReadOptions};

use crate::schedule::Segment;
use crate::text::{Malformed, serde_as_text};
use crate::time::Micros;

/// Tokens of a block that a Mooncake trace names by a hash.
pub const BLOCK_TOKENS: u32 = 512;

/// How a trace file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceFormat {
    /// Told from the first line.
    #[default]
    Auto,
    /// CSV with `TIMESTAMP,ContextTokens,GeneratedTokens`, as the Azure public data set has it.
    Azure,
    /// JSON lines with `timestamp` (ms), `input_length`, `output_length` and `hash_ids` (one for each 512 tokens begun), as
    /// Mooncake publishes them.
    Mooncake,
}

impl fmt::Display for TraceFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Azure => "azure",
            Self::Mooncake => "mooncake",
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
            _ => Err(Malformed::new("a trace format", text, "auto, azure, mooncake")),
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
    /// Since the first row.
    at: Micros,
    input: u32,
    output: u32,
    /// Where its blocks begin in [`Trace::blocks`]; how many follows from `input`.
    first_block: usize,
    clamped: bool,
}

/// A trace, checked against what the target can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Never empty, in order of time.
    rows: Vec<Row>,
    /// The hashes of all rows' blocks, one after another; empty when the format has none.
    blocks: Vec<u64>,
    format: TraceFormat,
}

/// One request of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceRequest {
    /// Since the first request, at speed 1.
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
        self.rows.last().map_or(Micros::ZERO, |row| row.at)
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
        if self.blocks.is_empty() {
            return vec![Segment(index, row.input)];
        }
        let count = row.input.div_ceil(BLOCK_TOKENS) as usize;
        let blocks = self.blocks.iter().skip(row.first_block).take(count);
        let left = |i: usize| row.input - i as u32 * BLOCK_TOKENS;
        blocks.enumerate().map(|(i, hash)| Segment(*hash, left(i).min(BLOCK_TOKENS))).collect()
    }
}
