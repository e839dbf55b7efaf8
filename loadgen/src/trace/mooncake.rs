//! The JSON lines of the Mooncake traces.

use serde::Deserialize;

use super::BLOCK_TOKENS;
use super::read::{RawRow, excerpt};
use crate::time::Micros;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Milliseconds from the start of the trace.
    timestamp: u64,
    input_length: u32,
    output_length: u32,
    hash_ids: Vec<u64>,
}

/// Reads a row.
pub(super) fn row(line: &str, row: &mut RawRow) -> Result<(), String> {
    let parsed: Line = serde_json::from_str(line).map_err(|error| {
        // The parser counts lines of its own, always 1; the file's line is named by the caller.
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        format!("column {}: {what}, found `{}`", error.column(), excerpt(line))
    })?;
    let blocks = parsed.input_length.div_ceil(BLOCK_TOKENS) as usize;
    if parsed.hash_ids.len() != blocks {
        return Err(format!(
            "{} hash_ids for {} tokens, expected {blocks}: one for each {BLOCK_TOKENS} tokens begun",
            parsed.hash_ids.len(),
            parsed.input_length
        ));
    }
    let at =
        parsed.timestamp.checked_mul(1_000).ok_or_else(|| format!("timestamp {} is too large", parsed.timestamp))?;
    *row = RawRow { at: Micros(at), input: parsed.input_length, output: parsed.output_length, hashes: parsed.hash_ids };
    Ok(())
}
