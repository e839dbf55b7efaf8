//! Whom a client speaks with, and what becomes of its words.
//!
//! A server's words end on terminals, on screens and in recordings, and a server may repeat the key that it was shown. So
//! every text passes through here before anything else sees it.

use tonic::Status;

use super::{RemoteAddress, RemoteError, RemoteKey, Topology};
use crate::cluster::Notice;
use crate::drive::wall::EngineEvent;
use crate::wire::{self, Malformed, v1};

/// Characters of a text that are kept.
const LONGEST: usize = 200;

/// What is spoken with a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// What an engine of ours speaks.
    Ours,
    /// What vLLM's speaks.
    Vllm,
}

/// A server.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) address: RemoteAddress,
    pub(super) key: Option<RemoteKey>,
    pub(super) service: Service,
}

impl Peer {
    /// A text of the server's as it may be shown: one short line, without the key.
    pub(super) fn words(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| one_line(text), |key| one_line(&key.hide_in(text)))
    }

    pub(super) fn unreachable(&self, why: &str) -> RemoteError {
        RemoteError::Connect { address: self.address.clone(), why: self.words(why) }
    }

    pub(super) fn broken(&self, why: &str) -> RemoteError {
        RemoteError::Broken { address: self.address.clone(), why: self.words(why) }
    }

    pub(super) fn malformed(&self, Malformed(why): &Malformed) -> RemoteError {
        RemoteError::Malformed { address: self.address.clone(), why: self.words(why) }
    }

    pub(super) fn status(&self, status: &Status) -> RemoteError {
        RemoteError::of_status(&self.address, self.service, status, |text| self.words(text))
    }

    pub(super) fn topology(&self, topology: v1::Topology) -> Result<Topology, RemoteError> {
        let mut topology = wire::read_topology(topology).map_err(|wrong| self.malformed(&wrong))?;
        topology.model = self.words(&topology.model);
        Ok(topology)
    }

    /// What a message of a watch tells, if anything.
    pub(super) fn change(
        &self,
        v1::WatchEvent { at_ns, what }: v1::WatchEvent,
    ) -> Result<Option<EngineEvent>, RemoteError> {
        let mut event = wire::read_change(at_ns, what).map_err(|wrong| self.malformed(&wrong))?;
        let why = match &mut event {
            Some(EngineEvent::ShiftDropped { why, .. } | EngineEvent::UnitLost { why, .. }) => Some(why),
            Some(EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. }) => report.abandoned.as_mut(),
            _ => None,
        };
        if let Some(why) = why {
            *why = self.words(why);
        }
        Ok(event)
    }
}

/// A text from elsewhere as it may be shown: printable, short and in one line.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((end, _)) = line.char_indices().nth(LONGEST) {
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_elsewhere_is_one_short_printable_line() {
        assert_eq!(one_line("a\r\n\tb\u{1b}[31m c\u{9b}"), "a b [31m c");
        for long in ["word ".repeat(1000), "x".repeat(100_000)] {
            let line = one_line(&long);
            assert!(line.chars().count() == LONGEST + 1 && line.ends_with('…'), "{line}");
        }
    }
}
