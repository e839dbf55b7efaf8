//! What a server tells of a request in its own words: which of its workers served it, and how long that took by its own clock.
//!
//! Names are the server's and may mean nothing to anybody else. Times are lengths on a clock that is not the run's: they are
//! shown beside what the client has measured and never put on its axis.

use std::fmt;

use crate::text::cut;
use crate::time::Micros;

/// Letters of a name that are kept.
const LONGEST: usize = 64;

/// What a server calls one of its workers: short, and printable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerName(Box<str>);

impl WorkerName {
    /// `None` when nothing is left of it.
    pub fn new(name: &str) -> Option<Self> {
        let mut name: String =
            name.chars().filter(|c| !c.is_whitespace() && !c.is_control()).take(LONGEST + 1).collect();
        cut(&mut name, LONGEST);
        (!name.is_empty()).then(|| Self(name.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is told of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Who computed its prompt.
    pub prefill: Option<WorkerName>,
    /// Who continued it.
    pub decode: Option<WorkerName>,
    /// What took how long.
    pub times: ServerTimes,
}

impl Told {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Lengths by the server's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerTimes {
    /// From the server's taking the request to its handing it to a worker that prefills.
    pub wait: Option<Micros>,
    /// From there to the first token: the worker's own queue, the prompt and the hand-off are all in it.
    pub prefill: Option<Micros>,
    /// From taking the request to the first token.
    pub ttft: Option<Micros>,
    /// From taking the request to its end.
    pub total: Option<Micros>,
    /// At most so much of `prefill` was the hand-off, as the server reckons.
    pub transfer: Option<Micros>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_printable_or_none() {
        assert_eq!(WorkerName::new("10.0.0.1:8100").map(|name| name.to_string()).as_deref(), Some("10.0.0.1:8100"));
        assert_eq!(WorkerName::new("a\u{1b}[31m\n b").map(|name| name.to_string()).as_deref(), Some("a[31mb"));
        assert_eq!(WorkerName::new(" \n"), None);
        let long = WorkerName::new(&"x".repeat(1000)).expect("a name");
        assert!(long.as_str().chars().count() == LONGEST + 1 && long.as_str().ends_with('…'));
        assert_eq!(WorkerName::new(long.as_str()).as_ref(), Some(&long), "read back as it was written");
    }
}
