//! The terminal side of pdtune.
//!
//! The screen, over a run that goes on or over a recording, is a loop of pure pieces with one shell around them:
//!
//! ```text
//!  snapshots ─┐                          ┌─► Effect ─► shell ─► commands
//!  keys ──────┼─► Msg ─► update(&mut Model) │
//!  signals ───┤            │              └─ (none: nothing happens)
//!  ticks ─────┘            ▼
//!                 view(&Model, &Theme, area, &mut Buffer) ─► at most 15 frames a second
//! ```
//!
//! `model`, `update`, `view`, `widget` and `chart` do no input or output and read no clock: the time on the screen is the
//! time of the snapshot. `shell` alone touches the terminal.

pub mod action;
pub mod chart;
pub mod cli;
pub mod command;
pub mod format;
pub mod model;
pub mod picture;
pub mod scene;
pub mod shell;
pub mod symbols;
pub mod theme;
pub mod tier;
pub mod update;
pub mod view;
pub mod widget;
