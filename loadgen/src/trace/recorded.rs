//! A recording as a trace: the load that was offered.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::read::check_memory;
use super::{Prompts, ReadOptions, Row, Trace, TraceError, TraceFormat};
use crate::recording::{Reader, Record};
use crate::sample::Sample;
use crate::schedule::Segment;

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

/// A request as it is collected: in the order in which requests ended.
#[derive(Clone, Copy, Debug)]
struct Collected {
    index: u64,
    row: Row,
}

/// Reads a recording as far as it goes.
pub(super) fn read(path: &Path, source: impl Read + Send, options: ReadOptions) -> Result<Trace, TraceError> {
    let mut reader = Reader::new(path, source)?;
    let mut collected: Vec<Collected> = Vec::new();
    let mut segments = Vec::new();
    for record in reader.by_ref() {
        let Record::Req(sample) = record? else { continue };
        let index = sample.index;
        let wrong = |why| TraceError::Request { path: path.to_owned(), index, why };
        let row = row(&sample, options, &mut segments).map_err(wrong)?;
        collected.push(Collected { index, row });
        check_memory(size_of_val(&collected[..]) + size_of_val(&segments[..])).map_err(wrong)?;
    }
    collected.sort_unstable_by_key(|request| request.index);
    if let Some(pair) =
        collected.windows(2).find(|pair| pair[0].row.at > pair[1].row.at || pair[0].index == pair[1].index)
    {
        let why = format!("it stands beside request {}, and their due times are not in order", pair[0].index);
        return Err(TraceError::Request { path: path.to_owned(), index: pair[1].index, why });
    }
    let limit = options.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let whole = collected.len() <= limit;
    let rows: Vec<Row> = collected.into_iter().take(limit).map(|request| request.row).collect();
    if rows.is_empty() {
        return Err(TraceError::Empty { path: path.to_owned() });
    }
    let end = reader.end().map(|end| end.schedule_end).filter(|_| whole);
    let incomplete = reader.incomplete();
    Ok(Trace { rows, prompts: Prompts::Segments(segments), format: TraceFormat::Pdtune, end, incomplete })
}

/// Takes over what was asked of the target; what it answered does not matter.
fn row(sample: &Sample, options: ReadOptions, all: &mut Vec<Segment>) -> Result<Row, String> {
    let Sample { due, input_tokens, output_asked, segments, .. } = sample;
    if *input_tokens == 0 || *output_asked == 0 {
        return Err(format!("{input_tokens} tokens in and {output_asked} out; both are at least 1"));
    }
    let sum: u64 = segments.iter().map(|segment| u64::from(segment.1)).sum();
    if sum != u64::from(*input_tokens) {
        return Err(format!("its segments have {sum} tokens, its prompt {input_tokens}"));
    }
    let (input, output, clamped) = options.fit(*input_tokens, *output_asked)?;
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
