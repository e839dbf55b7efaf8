//! Recordings: what a run was, and everything that happened in it, in one file that many tools can read.
//!
//! A recording is JSON lines in independent zstd frames. The first line is the `run` record, the last one the `end` record;
//! between them stand `req`, `unit`, `server`, `shift`, `rate` and other records in the order in which they became known.
//! `recordings/README.md` is the reference of the format.
//!
//! ```text
//!   aggregator ──push──► bounded queue of bytes ──► recorder thread: frames ──► NAME.partial ──finish──► NAME
//!                                                                                   └──────── Reader ◄────┘
//! ```
//!
//! Neither the text of a prompt nor a secret ever enters a recording.

mod error;
mod name;
mod observed;
mod queue;
mod reader;
mod record;
mod req;
mod run;
mod server;
mod text;
mod writer;

pub use error::{ReadError, WriteError};
pub use name::{default_name, file_stamp, rfc3339};
pub use observed::{
    LagRecord, LoadRecord, LoadState, NoteRecord, RateRecord, ShiftEnd, ShiftRecord, SloRecord, UnitPhase, UnitRecord,
    WaitingRecord, WaitingShift,
};
pub use reader::{Incomplete, Reader};
pub use record::Record;
pub use run::{ClientUse, EndRecord, RunRecord, SCHEMA};
pub use server::ServerRecord;
pub use writer::{Recorded, Recorder};
