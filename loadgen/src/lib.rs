//! Open-loop load, its measurement and its recording.
//!
//! ```text
//!   schedule (pure: seed → due, lengths, content) ─► pace ─► target ─► records ─┬─► fold ─► snapshot ─► screen
//!                                                                    ▲         └─► recording
//!                                                                    └── playback ◄────┘
//! ```

pub mod arrival;
pub mod calibrate;
pub mod clock;
pub mod control;
pub mod diagnose;
pub mod fold;
pub mod guard;
pub mod http;
pub mod live;
pub mod measure;
pub mod metrics;
pub mod plan;
pub mod playback;
pub mod profile;
mod random;
pub mod ready;
pub mod recording;
pub mod request;
pub mod run;
pub mod sample;
pub mod schedule;
pub mod search;
pub mod slo;
pub mod sse;
pub mod summary;
pub mod target;
pub mod text;
pub mod time;
pub mod trace;
pub mod whatif;
pub mod workload;
