//! What an answer can have at most, asked for what it was.

/// An answer that goes on beyond so many times what was asked for, and so many more, has no end.
const BEYOND: (u32, u32) = (2, 256);
/// A count with more tokens of the prompt than so many times what was sent, and so many more, has not counted them.
const PROMPT: (u32, u32) = (64, 1 << 17);

/// Tokens of an answer that asked for `output_tokens`.
pub(in crate::target) fn most_tokens(output_tokens: u32) -> u32 {
    output_tokens.saturating_mul(BEYOND.0).saturating_add(BEYOND.1)
}

/// Tokens that a prompt of `prompt` may be counted as.
pub(in crate::target) fn most_of_prompt(prompt: usize) -> u32 {
    u32::try_from(prompt).unwrap_or(u32::MAX).saturating_mul(PROMPT.0).saturating_add(PROMPT.1)
}
