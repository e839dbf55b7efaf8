//! The records between the first and the last, and all of them as lines.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::observed::{
    LagRecord, LoadRecord, NoteRecord, RateRecord, ShiftRecord, SloRecord, UnitRecord, WaitingRecord,
};
use super::req::Req;
use super::run::{EndRecord, RunRecord};
use super::server::ServerRecord;
use crate::sample::Sample;

/// One record between the first and the last.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A request that is over.
    Req(Box<Sample>),
    /// A unit as observed.
    Unit(UnitRecord),
    /// What a server tells of itself.
    Server(Box<ServerRecord>),
    /// A shift that started or ended.
    Shift(ShiftRecord),
    /// The shifts that wait.
    Waiting(WaitingRecord),
    /// A change of the load.
    Rate(RateRecord),
    /// A change of how requests are drawn.
    Load(LoadRecord),
    /// A change of the SLO.
    Slo(SloRecord),
    /// The client's own condition.
    Lag(LagRecord),
    /// Any other event.
    Note(NoteRecord),
}

/// A line of a recording.
#[derive(Debug)]
pub(super) enum Line {
    Run(Box<RunRecord>),
    Record(Record),
    End(EndRecord),
    /// A kind that a later version added.
    Unknown,
}

#[derive(Serialize)]
struct Tagged<'a, T> {
    k: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

/// Appends a line to `out`.
fn write<T: Serialize>(out: &mut Vec<u8>, k: &'static str, body: &T) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *out, &Tagged { k, body })?;
    out.push(b'\n');
    Ok(())
}

impl Record {
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Req(sample) => write(out, "req", &Req::from(sample.as_ref())),
            Self::Unit(unit) => write(out, "unit", unit),
            Self::Server(server) => write(out, "server", server.as_ref()),
            Self::Shift(shift) => write(out, "shift", shift),
            Self::Waiting(waiting) => write(out, "waiting", waiting),
            Self::Rate(rate) => write(out, "rate", rate),
            Self::Load(load) => write(out, "load", load),
            Self::Slo(slo) => write(out, "slo", slo),
            Self::Lag(lag) => write(out, "lag", lag),
            Self::Note(note) => write(out, "note", note),
        }
    }
}

impl RunRecord {
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        write(out, "run", self)
    }
}

impl EndRecord {
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        write(out, "end", self)
    }
}

/// Kinds whose lines need not be read twice.
const TAGS: [&str; 11] = ["req", "unit", "server", "shift", "waiting", "rate", "load", "slo", "lag", "note", "end"];

/// The kind of a line that starts with it, as those written here do: such a line is read once, as what it is.
fn tag(line: &[u8]) -> Option<&'static str> {
    let rest = line.strip_prefix(b"{\"k\":\"")?;
    let is = |kind: &&str| rest.strip_prefix(kind.as_bytes()).is_some_and(|rest| rest.starts_with(b"\","));
    TAGS.into_iter().find(is)
}

/// The kind of a line, and in the first one the version of the format.
#[derive(Deserialize)]
pub(super) struct Kind {
    pub(super) k: Cow<'static, str>,
    #[serde(default)]
    pub(super) schema: Option<u32>,
}

impl Kind {
    pub(super) fn of(line: &[u8]) -> Result<Self, String> {
        match tag(line) {
            Some(kind) => Ok(Self { k: Cow::Borrowed(kind), schema: None }),
            None => read(line),
        }
    }
}

fn read<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

impl Line {
    pub(super) fn read(kind: &Kind, line: &[u8]) -> Result<Self, String> {
        let record = match kind.k.as_ref() {
            "run" => return read(line).map(|run| Self::Run(Box::new(run))),
            "end" => return read(line).map(Self::End),
            "req" => Record::Req(Box::new(Sample::try_from(read::<Req>(line)?)?)),
            "unit" => Record::Unit(read(line)?),
            "server" => Record::Server(Box::new(read(line)?)),
            "shift" => Record::Shift(read(line)?),
            "waiting" => Record::Waiting(read(line)?),
            "rate" => Record::Rate(read(line)?),
            "load" => Record::Load(read(line)?),
            "slo" => Record::Slo(read(line)?),
            "lag" => Record::Lag(read(line)?),
            "note" => Record::Note(read(line)?),
            _ => return Ok(Self::Unknown),
        };
        Ok(Self::Record(record))
    }
}
