//! A recording as a trace: the load that was offered.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::read::check_memory;
use super::{Links, Prompts, ReadOptions, Row, Trace, TraceError, TraceFormat};
use crate::recording::{Reader, Record};
use crate::sample::Sample;
use crate::schedule::{Segment, Turn};
use crate::text::DurationText;
use crate::time::Micros;

/// What a zstd frame begins with (RFC 8878, 3.1.1).
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Whether a file is compressed as recordings are, and as no trace is.
///
/// # Errors
/// When it cannot be read.
pub fn is_recording(path: &Path) -> io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(MAGIC.len() as u64).read_to_end(&mut start)?;
    Ok(start == MAGIC)
}

/// What was asked in a recorded request; what was answered does not matter.
#[derive(Debug)]
struct Asked {
    due: Micros,
    input: u32,
    output: u32,
    segments: Box<[Segment]>,
    turn: Option<Turn>,
}

/// The first requests of a schedule out of a recording, which has them in the order in which they ended.
#[derive(Debug)]
struct Collected {
    /// By number, never more than `limit`.
    first: BTreeMap<u64, Asked>,
    limit: usize,
    /// Segments of all of them.
    segments: usize,
    /// Others were left out.
    is_part: bool,
}

impl Collected {
    fn new(limit: Option<u64>) -> Self {
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        Self { first: BTreeMap::new(), limit, segments: 0, is_part: false }
    }

    /// Keeps a request as long as it is among the first.
    fn offer(&mut self, sample: Sample) -> Result<(), String> {
        let Sample { index, due, input_tokens: input, output_asked: output, segments, turn, .. } = sample;
        if self.first.len() >= self.limit && self.first.last_key_value().is_none_or(|(last, _)| *last < index) {
            self.is_part = true;
            return Ok(());
        }
        self.segments += segments.len();
        let asked = Asked { due, input, output, segments: segments.into_boxed_slice(), turn };
        if self.first.insert(index, asked).is_some() {
            return Err("two requests have this number".to_owned());
        }
        if self.first.len() > self.limit
            && let Some((_, left_out)) = self.first.pop_last()
        {
            self.segments -= left_out.segments.len();
            self.is_part = true;
        }
        check_memory(self.first.len() * (size_of::<Asked>() + size_of::<u64>()) + self.segments * size_of::<Segment>())
    }
}

/// Reads a recording as far as it goes. What is not replayed is not checked either.
pub(super) fn read(path: &Path, source: impl Read + Send, options: ReadOptions) -> Result<Trace, TraceError> {
    let mut reader = Reader::new(path, source)?;
    let wrong = |index, why| TraceError::Request { path: path.to_owned(), index, why };
    let mut collected = Collected::new(options.limit);
    for record in reader.by_ref() {
        let Record::Req(sample) = record? else { continue };
        let index = sample.index;
        collected.offer(*sample).map_err(|why| wrong(index, why))?;
    }
    let mut segments = Vec::with_capacity(collected.segments);
    let mut rows = Vec::with_capacity(collected.first.len());
    let mut before: Option<(u64, Micros)> = None;
    let mut links = Links::default();
    let mut first: Vec<_> = collected.first.into_iter().collect();
    if first.iter().any(|(_, asked)| asked.turn.is_some()) {
        // A turn that was due before it was known comes behind what had left by then.
        first.sort_by_key(|(index, asked)| (asked.due, *index));
    }
    for (index, asked) in first {
        if let Some((before, due)) = before.filter(|(_, due)| *due > asked.due) {
            let (late, early) = (DurationText(due), DurationText(asked.due));
            return Err(wrong(index, format!("it is due at {early}, but request {before} before it at {late}")));
        }
        before = Some((index, asked.due));
        if let Some(turn) = asked.turn {
            links.add(rows.len(), turn).map_err(|why| wrong(index, why))?;
        }
        rows.push(row(&asked, options, &mut segments).map_err(|why| wrong(index, why))?);
    }
    if rows.is_empty() {
        return Err(TraceError::Empty { path: path.to_owned() });
    }
    let end = reader.end().map(|end| end.schedule_end).filter(|_| !collected.is_part);
    let incomplete = reader.incomplete();
    Ok(Trace { rows, prompts: Prompts::Segments(segments), format: TraceFormat::Pdtune, end, incomplete, links })
}

/// What is asked of the target.
fn row(asked: &Asked, options: ReadOptions, all: &mut Vec<Segment>) -> Result<Row, String> {
    let Asked { due, input, output, segments, turn } = asked;
    if *input == 0 || *output == 0 {
        return Err(format!("{input} tokens in and {output} out; both are at least 1"));
    }
    let sum: u64 = segments.iter().map(|segment| u64::from(segment.1)).sum();
    if sum != u64::from(*input) {
        return Err(format!("its segments have {sum} tokens, its prompt {input}"));
    }
    if let Some(turn) = turn {
        super::turns::new_segments(segments, turn.new_tokens)?;
    }
    // What was said is not cut: the turns after it would begin with something else.
    let options = ReadOptions { clamp: options.clamp && turn.is_none(), ..options };
    let (input, output, clamped) = options.fit(*input, *output)?;
    let first = all.len();
    let mut left = input;
    for Segment(id, tokens) in segments.iter().copied() {
        let tokens = tokens.min(left);
        left -= tokens;
        if tokens > 0 {
            all.push(Segment(id, tokens));
        }
    }
    Ok(Row { at: *due, input, output, first, count: (all.len() - first) as u32, clamped })
}
