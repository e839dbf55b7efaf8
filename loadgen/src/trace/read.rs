//! Reading a trace file line by line into what a run needs of it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::{BLOCK_TOKENS, Links, Prompts, Row, Trace, TraceError, TraceFormat, azure, mooncake, recorded};
use crate::time::Micros;
use crate::workload::Limits;

/// The most memory a trace may take. About twenty million Azure rows, or a million Mooncake rows of 30,000 tokens.
pub const MAX_BYTES: usize = 512 << 20;

/// The longest line: a prompt of millions of tokens has block hashes for less.
const MAX_LINE: usize = 1 << 20;

/// How a trace is read.
#[derive(Clone, Copy, Debug)]
pub struct ReadOptions {
    /// The format, or [`TraceFormat::Auto`].
    pub format: TraceFormat,
    /// Only so many requests from the start.
    pub limit: Option<u64>,
    /// What the target can serve.
    pub limits: Limits,
    /// Whether rows beyond the limits are cut rather than refused.
    pub clamp: bool,
}

impl ReadOptions {
    /// The lengths that a request will have, each at least 1, and whether they were cut.
    pub(super) fn fit(&self, input: u32, output: u32) -> Result<(u32, u32, bool), String> {
        if self.limits.fit(input, output) {
            return Ok((input, output, false));
        }
        if !self.clamp {
            let limit = self.limits.total_tokens();
            return Err(format!(
                "{input} tokens in and {output} out are beyond the {limit} a request may have; cut such rows with --clamp"
            ));
        }
        let (input, output) = self.limits.cut(input, output);
        Ok((input, output, true))
    }
}

/// Refuses a trace that would take more than there may be.
pub(super) fn check_memory(bytes: usize) -> Result<(), String> {
    if bytes > MAX_BYTES {
        return Err(format!("the trace takes more than {MAX_BYTES} bytes in memory; use fewer rows with --limit"));
    }
    Ok(())
}

/// What a line says, in the file's own time. One is reused for all lines.
#[derive(Debug, Default)]
pub(super) struct RawRow {
    /// From any fixed instant.
    pub(super) at: Micros,
    pub(super) input: u32,
    pub(super) output: u32,
    pub(super) hashes: Vec<u64>,
}

impl Trace {
    /// Reads and checks a trace.
    ///
    /// # Errors
    /// When the file cannot be read, has no request, or a line is malformed, out of order or beyond what can be served.
    pub fn open(path: &Path, options: ReadOptions) -> Result<Self, TraceError> {
        let file = File::open(path).map_err(|source| TraceError::Io { path: path.to_owned(), source })?;
        Self::read(path, file, options)
    }

    /// Reads and checks a trace from anywhere; `path` names it in messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn read(path: &Path, source: impl Read + Send, options: ReadOptions) -> Result<Self, TraceError> {
        let io = |source| TraceError::Io { path: path.to_owned(), source };
        let mut reader = BufReader::new(source);
        let is_recording = match options.format {
            TraceFormat::Auto => reader.fill_buf().map_err(io)?.starts_with(&recorded::MAGIC),
            format => format == TraceFormat::Pdtune,
        };
        if is_recording {
            return recorded::read(path, reader, options);
        }
        let mut builder = Builder::new(options);
        let mut buffer = Vec::new();
        for line in 1.. {
            buffer.clear();
            if builder.is_full() || read_line(&mut reader, &mut buffer).map_err(io)? == 0 {
                break;
            }
            builder.line(&buffer).map_err(|why| TraceError::Line { path: path.to_owned(), line, why })?;
        }
        builder.finish().ok_or_else(|| TraceError::Empty { path: path.to_owned() })
    }
}

/// Reads one line, or one byte more than a line may have.
fn read_line(reader: &mut impl BufRead, buffer: &mut Vec<u8>) -> std::io::Result<usize> {
    reader.take(MAX_LINE as u64 + 1).read_until(b'\n', buffer)
}

#[derive(Debug)]
struct Builder {
    options: ReadOptions,
    /// Told from the first line that is not blank.
    format: Option<TraceFormat>,
    raw: RawRow,
    /// The file's time of the first and the last row.
    first: Option<Micros>,
    last: Micros,
    rows: Vec<Row>,
    blocks: Vec<u64>,
}

impl Builder {
    fn new(options: ReadOptions) -> Self {
        Self {
            options,
            format: None,
            raw: RawRow::default(),
            first: None,
            last: Micros::ZERO,
            rows: Vec::new(),
            blocks: Vec::new(),
        }
    }

    fn is_full(&self) -> bool {
        self.options.limit.is_some_and(|limit| self.rows.len() as u64 >= limit)
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() > MAX_LINE {
            return Err(format!("longer than {MAX_LINE} bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|e| format!("not UTF-8 from byte {}", e.valid_up_to() + 1))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Ok(());
        }
        let format = if let Some(format) = self.format {
            format
        } else {
            let format = tell(self.options.format, text)?;
            self.format = Some(format);
            if format == TraceFormat::Azure {
                return azure::header(text);
            }
            format
        };
        match format {
            TraceFormat::Mooncake => mooncake::row(text, &mut self.raw)?,
            TraceFormat::Azure | TraceFormat::Auto | TraceFormat::Pdtune => azure::row(text, &mut self.raw)?,
        }
        self.keep()
    }

    /// Takes the raw row over, cut to what can be served where that is asked for.
    fn keep(&mut self) -> Result<(), String> {
        let RawRow { at, input, output, .. } = self.raw;
        if input == 0 || output == 0 {
            return Err(format!("{input} tokens in and {output} out; both are at least 1"));
        }
        if at < self.last {
            return Err("earlier than the row before; sort the trace by time".to_owned());
        }
        self.last = at;
        let first = *self.first.get_or_insert(at);
        let (input, output, clamped) = self.options.fit(input, output)?;
        let part = &self.raw.hashes[..self.raw.hashes.len().min(input.div_ceil(BLOCK_TOKENS) as usize)];
        let (first_block, count) = (self.blocks.len(), part.len() as u32);
        self.blocks.extend_from_slice(part);
        self.rows.push(Row { at: at.since(first), input, output, first: first_block, count, clamped });
        check_memory(size_of_val(&self.rows[..]) + size_of_val(&self.blocks[..]))
    }

    fn finish(self) -> Option<Trace> {
        let format = self.format.filter(|_| !self.rows.is_empty())?;
        let prompts = if self.blocks.is_empty() { Prompts::Own } else { Prompts::Blocks(self.blocks) };
        Some(Trace { rows: self.rows, prompts, format, end: None, incomplete: None, links: Links::default() })
    }
}

/// The format by the look of the first line, unless it was named.
fn tell(named: TraceFormat, first: &str) -> Result<TraceFormat, String> {
    match named {
        TraceFormat::Auto if first.starts_with('{') => Ok(TraceFormat::Mooncake),
        TraceFormat::Auto if azure::header(first).is_ok() => Ok(TraceFormat::Azure),
        TraceFormat::Auto => Err(format!(
            "found `{}`, which starts no known format: azure begins with {}, mooncake with {{, a recording is compressed",
            excerpt(first),
            azure::HEADER
        )),
        named => Ok(named),
    }
}

/// The beginning of a text that may be long, for messages.
pub(super) fn excerpt(text: &str) -> String {
    const MOST: usize = 60;
    let mut excerpt: String = text.chars().take(MOST).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}
