//! A recording opened to be looked at: the snapshot that the run had at its end, with the whole past in it.
//!
//! ```text
//!   Reader ─► Record ─┬─► Timeline: in order of time ─► Fold ─► Snapshot  (every second remembered, see Snapshot::at)
//!                     └─► Accumulator ─────────────────────────► Summary  (what `pdtune report` prints)
//! ```
//!
//! The snapshot is that of the live run, because the same [`Fold`] makes it from the same records. What differs, and why:
//!
//! - Seconds are remembered at their very end; a live run does so up to 10 ms later, with what came in between.
//! - A request that could not be sent to a server counts as sent at its hand-over; a live run knows of that when it failed.
//! - A request that is over long after it was due is not waited for (65,536 records, or as many seconds): in the memories of
//!   the seconds before, it is neither offered nor sent.
//! - What a live run knows and does not record is missing: the size of its own recording.
//! - A recording that is incomplete ends with its last record. Requests in flight then were never recorded, so they are
//!   neither offered nor sent.

mod order;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::Builder;

use crate::fold::Fold;
use crate::live::{Recent, Snapshot, TtftStages};
use crate::measure::StageHistogram;
use crate::recording::{Incomplete, ReadError, Reader, Record, RunRecord};
use crate::summary::{Accumulator, Summary};

use order::Order;

/// A recording as the screen needs it. Its memory does not grow with the length of the run: the history is as long as that
/// of a live run.
#[derive(Clone, Debug)]
pub struct Playback {
    /// What the run was.
    pub run: RunRecord,
    /// The run at its end.
    pub last: Arc<Snapshot>,
    /// The figures of the whole run.
    pub summary: Summary,
    /// Why the recording does not tell how its run ended, if it does not.
    pub incomplete: Option<Incomplete>,
    /// Records of kinds that a later version added; they are not shown.
    pub unknown: u64,
}

impl Playback {
    /// The figures of the whole run in the shape of the recent ones of a screen. They are those of the summary; where the time
    /// of TTFTs went is told of all requests that completed.
    pub fn whole_run(&self) -> Recent {
        let mut stages = StageHistogram::default();
        let mut completed = 0;
        for slot in self.last.history.iter() {
            stages.merge(&slot.stages);
            completed += u64::from(slot.completed);
        }
        let failures = self.last.failures;
        Recent { completed, failures, stages: TtftStages::of(&stages), ..self.summary.whole_run() }
    }
}

/// Reads a whole recording.
///
/// # Errors
/// When the file cannot be opened, is not a recording, is damaged, or has a schema that this version does not know.
pub fn open(path: &Path) -> Result<Playback, ReadError> {
    read(Reader::open(path)?, path)
}

/// Reads a whole recording that was begun to be read; `path` names it.
///
/// # Errors
/// When it is damaged.
pub fn read(mut reader: Reader<'_>, path: &Path) -> Result<Playback, ReadError> {
    let run = reader.run().clone();
    let mut accumulator = Accumulator::new(&run);
    let mut order = Order::new(Fold::new(&run));
    read_ahead(&mut reader, path, |record| {
        accumulator.record(&record);
        order.push(record);
    })?;
    let end = reader.end();
    Ok(Playback {
        last: Arc::new(order.finish(end)),
        summary: accumulator.finish(end, Some(path.display().to_string())),
        incomplete: reader.incomplete(),
        unknown: reader.unknown(),
        run,
    })
}

/// Records that are handed over at once.
const BATCH: usize = 256;
/// Batches that are read ahead; with so many, reading waits.
const AHEAD: usize = 8;

/// Reads on a thread of its own while `take` takes what was read: each of the two takes about half of the time.
fn read_ahead(reader: &mut Reader<'_>, path: &Path, mut take: impl FnMut(Record)) -> Result<(), ReadError> {
    let (sender, batches) = sync_channel::<Vec<Record>>(AHEAD);
    let read = move || {
        let mut batch = Vec::with_capacity(BATCH);
        for record in reader.by_ref() {
            batch.push(record?);
            if batch.len() == BATCH && sender.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err() {
                break;
            }
        }
        // Nobody takes it only when whoever did is gone, and with it the need for it.
        let _ = sender.send(batch);
        Ok(())
    };
    let cannot_read = |why: io::Error| ReadError::Open { path: path.to_owned(), why };
    std::thread::scope(|scope| {
        let reading = Builder::new().name("read".to_owned()).spawn_scoped(scope, read).map_err(cannot_read)?;
        batches.into_iter().flatten().for_each(&mut take);
        reading.join().unwrap_or_else(|_| Err(cannot_read(io::Error::other("the reading thread panicked"))))
    })
}
