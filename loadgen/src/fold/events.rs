//! The event list of a run: a bounded ring of sentences, some of which stand as marks in the charts.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::live::{Event, MarkKind};
use crate::text::{SENTENCE, cut};
use crate::time::Micros;

/// Events kept; the oldest go first.
const LIMIT: usize = 512;
/// Letters of a label that are kept: more than any has, and far more than a chart shows.
const LABEL: usize = 40;

/// The list. Shared copies are made anew only after a change.
#[derive(Debug, Default)]
pub(super) struct EventLog {
    events: VecDeque<Event>,
    shared: Option<Arc<Vec<Event>>>,
}

impl EventLog {
    /// Sentences may quote what somebody else wrote: they are cut.
    pub(super) fn push(&mut self, at: Micros, mark: Option<MarkKind>, label: &str, mut text: String) {
        cut(&mut text, SENTENCE);
        let mut label = label.to_owned();
        cut(&mut label, LABEL);
        if self.events.len() == LIMIT {
            self.events.pop_front();
        }
        self.events.push_back(Event { at, mark, label, text });
        self.shared = None;
    }

    /// All of it, oldest first.
    pub(super) fn shared(&mut self) -> Arc<Vec<Event>> {
        let events = &self.events;
        Arc::clone(self.shared.get_or_insert_with(|| Arc::new(events.iter().cloned().collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_keeps_the_newest() {
        let mut log = EventLog::default();
        for at in 0..2000 {
            log.push(Micros(at), None, "", String::new());
        }
        let events = log.shared();
        assert_eq!(events.len(), LIMIT);
        assert_eq!(events.last().map(|event| event.at), Some(Micros(1999)));
    }

    #[test]
    fn what_somebody_else_wrote_at_length_is_cut() {
        let mut log = EventLog::default();
        log.push(Micros(1), Some(MarkKind::Failure), &"l".repeat(1 << 20), "t".repeat(1 << 20));
        let event = &log.shared()[0];
        assert_eq!((event.label.chars().count(), event.text.chars().count()), (LABEL + 1, SENTENCE + 1));
    }
}
