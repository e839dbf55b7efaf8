//! The command line as a user meets it: every help text, and what is accepted, refused and meant.
#![expect(clippy::expect_used, reason = "a helper of a test may fail it")]

#[path = "cli/help.rs"]
mod help;
#[path = "cli/lines.rs"]
mod lines;
