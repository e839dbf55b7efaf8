//! Reads recordings, finished or not.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use zstd::stream::read::Decoder;

use super::error::ReadError;
use super::record::{Kind, Line, Record};
use super::run::{EndRecord, RunRecord, SCHEMA};

/// Longest line that is taken for a record.
const LINE_BYTES: usize = 16 << 20;

/// Why a recording does not tell how its run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// The file stops in the middle of a frame or a record.
    Torn,
    /// The file stops after a whole record that is not the end record.
    NoEnd,
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Torn => "incomplete: it stops in the middle of a record, and has no end record",
            Self::NoEnd => "incomplete: no end record",
        })
    }
}

/// The records of a recording, one after another, in constant memory. Texts for people in them have an end: whoever keeps some
/// need not ask how long they are.
///
/// What was torn off its end (the program was killed, the disk was full) is not an error: the records before it are
/// yielded, and [`incomplete`](Self::incomplete) says so afterwards. Damage anywhere else is an error.
pub struct Reader<'a> {
    path: PathBuf,
    source: Box<dyn BufRead + Send + 'a>,
    line: Vec<u8>,
    /// Records read, the first one included.
    number: u64,
    unknown: u64,
    run: RunRecord,
    state: State,
}

#[derive(Debug)]
enum State {
    Reading,
    Ended(EndRecord),
    Incomplete(Incomplete),
    Failed,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("path", &self.path)
            .field("number", &self.number)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Reader<'static> {
    /// Opens a recording and reads its first record.
    ///
    /// # Errors
    /// When the file cannot be opened, is not a recording, or has a schema that this version does not know.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(|why| ReadError::Open { path: path.to_owned(), why })?;
        Self::new(path, file)
    }
}

impl<'a> Reader<'a> {
    /// Reads a recording from anywhere; `path` names it in messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn new(path: &Path, source: impl Read + Send + 'a) -> Result<Self, ReadError> {
        let not_a_recording = |why: String| ReadError::NotARecording { path: path.to_owned(), why };
        let decoder = Decoder::new(source).map_err(|error| not_a_recording(error.to_string()))?;
        let mut source = BufReader::new(decoder);
        let mut line = Vec::new();
        match next_line(&mut source, &mut line) {
            Ok(Next::Line) => {}
            Ok(Next::Over(_)) => return Err(not_a_recording("it holds no whole record".to_owned())),
            Err(why) => return Err(not_a_recording(why)),
        }
        let kind = Kind::of(&line).map_err(|why| not_a_recording(format!("its first record is malformed: {why}")))?;
        let found = kind.schema.filter(|_| kind.k == "run");
        match found {
            Some(SCHEMA) => {}
            Some(found) => return Err(ReadError::Schema { path: path.to_owned(), found }),
            None => return Err(not_a_recording("its first record is not a run record with a schema".to_owned())),
        }
        let run = match Line::read(&kind, &line) {
            Ok(Line::Run(run)) => *run,
            Ok(_) => return Err(not_a_recording("its first record is not a run record".to_owned())),
            Err(why) => return Err(not_a_recording(format!("its run record is malformed: {why}"))),
        };
        Ok(Self {
            path: path.to_owned(),
            source: Box::new(source),
            line,
            number: 1,
            unknown: 0,
            run,
            state: State::Reading,
        })
    }

    /// The first record.
    pub fn run(&self) -> &RunRecord {
        &self.run
    }

    /// The last record, once everything before it was read.
    pub fn end(&self) -> Option<&EndRecord> {
        match &self.state {
            State::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Whether, and why, the recording stops before its end; known once everything was read.
    pub fn incomplete(&self) -> Option<Incomplete> {
        match self.state {
            State::Incomplete(why) => Some(why),
            _ => None,
        }
    }

    /// Records of kinds that a later version added, skipped so far.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    fn wrong(&mut self, why: String) -> ReadError {
        self.state = State::Failed;
        ReadError::Record { path: self.path.clone(), number: self.number, why }
    }

    /// Reads up to the next record between the first and the last.
    fn step(&mut self) -> Result<Option<Record>, ReadError> {
        while matches!(self.state, State::Reading) {
            self.number += 1;
            match next_line(&mut self.source, &mut self.line) {
                Ok(Next::Line) => {}
                Ok(Next::Over(why)) => {
                    self.state = State::Incomplete(why);
                    break;
                }
                Err(why) => return Err(self.wrong(why)),
            }
            match Kind::of(&self.line).and_then(|kind| Line::read(&kind, &self.line)) {
                Ok(Line::Record(record)) => return Ok(Some(record)),
                Ok(Line::Unknown) => self.unknown += 1,
                Ok(Line::End(end)) => {
                    self.number += 1;
                    match next_line(&mut self.source, &mut self.line) {
                        Ok(Next::Over(Incomplete::NoEnd)) => self.state = State::Ended(end),
                        // Its frame is cut short, so that its checksum is missing.
                        Ok(Next::Over(Incomplete::Torn)) => self.state = State::Incomplete(Incomplete::Torn),
                        Ok(Next::Line) => return Err(self.wrong("it stands after the end record".to_owned())),
                        Err(why) => return Err(self.wrong(why)),
                    }
                }
                Ok(Line::Run(_)) => return Err(self.wrong("a second run record".to_owned())),
                Err(why) => return Err(self.wrong(why)),
            }
        }
        Ok(None)
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// What comes next in a recording.
enum Next {
    /// A whole line, without its line feed.
    Line,
    /// Nothing more.
    Over(Incomplete),
}

/// Reads a line into `line`. A frame that is cut short counts as the end of the file.
fn next_line(source: &mut dyn BufRead, line: &mut Vec<u8>) -> Result<Next, String> {
    line.clear();
    loop {
        let chunk = match source.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Next::Over(Incomplete::Torn)),
            Err(error) => return Err(format!("it cannot be decompressed: {error}")),
        };
        if chunk.is_empty() {
            return Ok(Next::Over(if line.is_empty() { Incomplete::NoEnd } else { Incomplete::Torn }));
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&chunk[..end.unwrap_or(chunk.len())]);
        let used = end.map_or(chunk.len(), |at| at + 1);
        source.consume(used);
        if end.is_some() {
            return Ok(Next::Line);
        }
        if line.len() > LINE_BYTES {
            return Err(format!("it is longer than {} MiB", LINE_BYTES >> 20));
        }
    }
}
