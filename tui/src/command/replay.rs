//! `pdtune replay`: what once arrived, arriving again.

use super::{Ending, live, record};
use crate::cli::{ReplayOptions, ReplayRun};

/// Replays with or without the screen.
///
/// # Errors
/// When the file cannot be read, and as [`live::run`] and [`record::run`].
pub fn run(options: ReplayOptions) -> anyhow::Result<Ending> {
    match options.run()? {
        ReplayRun::Live(options) => live::run(options),
        ReplayRun::Record(options) => record::run(options),
    }
}
