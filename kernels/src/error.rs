//! The error of this crate.

use std::path::PathBuf;

/// A kernel, an arena or a system call could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A KV layout that no arena can have.
    #[error("kv layout: {what} is {found}, it must be {allowed}")]
    Layout {
        /// Which number.
        what: &'static str,
        /// What it was.
        found: usize,
        /// What it may be.
        allowed: &'static str,
    },
    /// The arena does not fit into the address space.
    #[error("kv arena: {blocks} blocks of {block_bytes} bytes overflow the address space")]
    TooLarge {
        /// Blocks asked for.
        blocks: usize,
        /// Bytes of one block; `usize::MAX` when that number itself overflowed.
        block_bytes: usize,
    },
    /// The operating system refused the arena's memory.
    #[error("kv arena: cannot reserve {bytes} bytes")]
    Reserve {
        /// Bytes asked for.
        bytes: usize,
        /// Why.
        source: std::io::Error,
    },
    /// A block table names a block that does not exist.
    #[error("block {block} is outside the arena of {blocks} blocks")]
    NoSuchBlock {
        /// The block.
        block: u64,
        /// Blocks of the arena.
        blocks: usize,
    },
    /// A block is being copied by another thread; its owner must not have scheduled this.
    #[error("block {block} is in use by another copy or write")]
    Busy {
        /// The block.
        block: u32,
    },
    /// A block table ends before the positions that are asked for.
    #[error("block table covers {covered} positions, {needed} are needed")]
    TableTooShort {
        /// Positions that the table covers.
        covered: usize,
        /// Positions that are needed.
        needed: usize,
    },
    /// Two arenas do not have the same kind of blocks.
    #[error("blocks of {source_bytes} bytes do not fit an arena with blocks of {own_bytes} bytes or another shape")]
    OtherLayout {
        /// Bytes of a source block.
        source_bytes: usize,
        /// Bytes of a block here.
        own_bytes: usize,
    },
    /// A buffer or a matrix has the wrong size.
    #[error("{what}: {found} elements, expected {expected}")]
    Shape {
        /// Which one.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have.
        expected: usize,
    },
    /// A dimension that a kernel cannot work with.
    #[error("{what} is {found}, it must be a multiple of {multiple} and not 0")]
    Dimension {
        /// Which one.
        what: &'static str,
        /// What it was.
        found: usize,
        /// What it must be a multiple of.
        multiple: usize,
    },
    /// A file could not be mapped.
    #[error("cannot map {}", path.display())]
    Map {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A system call about the current thread failed.
    #[error("cannot {doing}")]
    Thread {
        /// What was attempted.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// Checks the length of a buffer.
pub(crate) fn expect_len(what: &'static str, found: usize, expected: usize) -> Result<(), KernelError> {
    if found == expected { Ok(()) } else { Err(KernelError::Shape { what, found, expected }) }
}

/// Checks a dimension.
pub(crate) fn expect_multiple(what: &'static str, found: usize, multiple: usize) -> Result<(), KernelError> {
    if found > 0 && found.is_multiple_of(multiple) {
        Ok(())
    } else {
        Err(KernelError::Dimension { what, found, multiple })
    }
}
