//! The servers as they last told of themselves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use engine::units::UnitId;

use crate::live::ServerView;
use crate::metrics::{Counter, MAX_ROWS, Sums};
use crate::recording::ServerRecord;
use crate::summary::counted;
use crate::time::Micros;

/// The window over which what was counted is told: that of the client's own recent figures.
const WINDOW: Micros = Micros(10_000_000);
/// Records of a server in the window; with more, the oldest go.
const MOST: usize = 64;
/// Failed KV transfers are an event at most this often.
const SAY_EVERY: Micros = Micros(30_000_000);

/// Names that the event has.
const NAMES: usize = 3;
/// What counts as failed.
const FAILURES: [Counter; 2] = [Counter::HandOffFailed, Counter::HandOffExpired];

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// By name.
    rows: BTreeMap<Arc<str>, Row>,
    /// As published; made anew only after a record.
    shared: Option<Arc<Vec<ServerView>>>,
    /// When failed KV transfers were last an event, and what has been counted since, by whom, and whether it speaks for the whole.
    said: Option<Micros>,
    unsaid: BTreeMap<Arc<str>, (bool, Sums)>,
}

#[derive(Debug)]
struct Row {
    view: ServerView,
    window: VecDeque<(Micros, Sums)>,
}

impl Servers {
    /// A server told of itself. What people want to read of is a sentence.
    pub(super) fn apply(&mut self, record: &ServerRecord) -> Option<String> {
        if record.failed {
            return None;
        }
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(record.name.as_str()) {
            // Replicas come and go: the place of whoever has been silent the longest is taken.
            let silent = self.rows.values().min_by_key(|row| row.view.heard).map(|row| Arc::clone(&row.view.name));
            silent.and_then(|name| self.rows.remove(&name));
        }
        let name: Arc<str> = record.name.as_str().into();
        let row = self.rows.entry(Arc::clone(&name)).or_insert_with(|| Row {
            view: ServerView {
                name,
                role: None,
                unit: None,
                whole: false,
                heard: Micros::ZERO,
                span: Micros::ZERO,
                gauges: record.gauges,
                sums: Sums::default(),
            },
            window: VecDeque::new(),
        });
        row.take(record);
        self.shared = None;
        self.failures(record)
    }

    fn failures(&mut self, record: &ServerRecord) -> Option<String> {
        let failed = |sums: &Sums| FAILURES.iter().filter_map(|counter| sums.count(*counter)).any(|count| count > 0);
        if failed(&record.sums) && (self.unsaid.len() < MAX_ROWS || self.unsaid.contains_key(record.name.as_str())) {
            self.unsaid
                .entry(record.name.as_str().into())
                .or_insert((record.whole, Sums::default()))
                .1
                .add(&record.sums);
        }
        if self.unsaid.is_empty() || self.said.is_some_and(|said| record.at < said + SAY_EVERY) {
            return None;
        }
        self.said = Some(record.at);
        let unsaid = std::mem::take(&mut self.unsaid);
        let count = |counter| counted(unsaid.values().map(|(whole, sums)| (*whole, sums)), counter).unwrap_or(0);
        let failed = FAILURES.map(count).into_iter().fold(0, u64::saturating_add);
        let transfers = if failed == 1 { "KV transfer" } else { "KV transfers" };
        let names: Vec<&str> = unsaid.keys().take(NAMES).map(|name| &**name).collect();
        let (names, tell) = (names.join(", "), if unsaid.len() == 1 { "tells" } else { "tell" });
        let more = unsaid.len().saturating_sub(NAMES);
        let others = if more == 0 { String::new() } else { format!(" and {more} more") };
        Some(format!("{failed} {transfers} failed or expired, as {names}{others} {tell}"))
    }

    /// In order of roles and names.
    pub(super) fn shared(&mut self) -> Arc<Vec<ServerView>> {
        let rows = &self.rows;
        Arc::clone(self.shared.get_or_insert_with(|| {
            let mut views: Vec<ServerView> = rows.values().map(|row| row.view.clone()).collect();
            views.sort_by_key(|view| (!view.whole, view.role.is_none(), view.role.map(|role| role as u8), view.unit));
            Arc::new(views)
        }))
    }

    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }
}

impl Row {
    fn take(&mut self, record: &ServerRecord) {
        let role = record.role.or(self.view.role);
        if self.view.role.is_some() && role != self.view.role {
            // What it counted in its old role is none of the new one's.
            self.window.clear();
        }
        self.window.push_back((record.at, record.sums));
        let from = record.at.since(WINDOW);
        while self.window.len() > MOST || self.window.front().is_some_and(|(at, _)| *at < from) {
            self.window.pop_front();
        }
        let view = &mut self.view;
        (view.heard, view.span, view.whole) = (record.at, record.span, record.whole);
        view.role = role;
        view.unit = record.unit.map(UnitId).or(view.unit);
        view.gauges = record.gauges;
        view.sums = Sums::default();
        for (_, sums) in &self.window {
            view.sums.add(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::units::Role;

    use super::*;
    use crate::metrics::{Gauges, Timed, Timer};

    fn record(second: u64, name: &str, failed: u64) -> ServerRecord {
        let mut sums = Sums::default();
        sums.add_time(Timer::Queue, Timed::exact(1, Micros(second * 1000)));
        sums.add_count(Counter::HandOffFailed, failed);
        ServerRecord {
            failed: false,
            span: Micros(1_000_000),
            role: Some(Role::Decode),
            gauges: Gauges { running: Some(second as u32), ..Gauges::default() },
            sums,
            ..ServerRecord::failed(Micros(second * 1_000_000), name.to_owned())
        }
    }

    #[test]
    fn a_server_shows_what_it_holds_and_what_it_counted_in_the_last_seconds() {
        let mut servers = Servers::default();
        for second in 1..=30 {
            servers.apply(&record(second, "a:1", 0));
        }
        servers.apply(&ServerRecord::failed(Micros(31_000_000), "a:1".to_owned()));
        let views = servers.shared();
        assert_eq!((views.len(), views[0].gauges.running), (1, Some(30)));
        let mean = views[0].sums.mean(Timer::Queue).expect("a mean");
        assert_eq!(mean, Micros(25_000), "of seconds 20 to 30");
        assert!(views[0].is_fresh(Micros(35_000_000)) && !views[0].is_fresh(Micros(36_000_001)));
    }

    #[test]
    fn servers_are_bounded_and_the_longest_silent_one_makes_room() {
        let mut servers = Servers::default();
        for index in 0..2 * MAX_ROWS as u64 {
            servers.apply(&record(index + 1, &format!("replica {index}"), 0));
        }
        let views = servers.shared();
        assert_eq!(views.len(), MAX_ROWS);
        assert!(views.iter().all(|view| view.heard > Micros(MAX_ROWS as u64 * 1_000_000)));
    }

    #[test]
    fn failed_transfers_are_said_but_not_every_second() {
        let mut servers = Servers::default();
        let said: Vec<(u64, String)> = (1..=70)
            .filter_map(|second| Some((second, servers.apply(&record(second, "a:1", u64::from(second > 1)))?)))
            .collect();
        let seconds: Vec<u64> = said.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [2, 32, 62]);
        assert_eq!(said[0].1, "1 KV transfer failed or expired, as a:1 tells");
        assert_eq!(said[1].1, "30 KV transfers failed or expired, as a:1 tells");
    }

    #[test]
    fn what_a_gateway_counts_beside_its_engines_failed_once() {
        let mut servers = Servers::default();
        servers.apply(&record(1, "a:1", 1));
        let gateway = |second| ServerRecord { whole: true, role: None, ..record(second, "g:8000", 3) };
        for second in [2, 3] {
            assert_eq!(servers.apply(&gateway(second)), None);
            assert_eq!(servers.apply(&record(second, "a:1", 2)), None);
        }
        assert_eq!(servers.apply(&record(4, "b:1", 2)), None);
        let said = servers.apply(&record(31, "a:1", 0)).expect("it is time");
        assert_eq!(said, "6 KV transfers failed or expired, as a:1, b:1, g:8000 tell");
    }

    #[test]
    fn a_unit_that_was_shifted_begins_anew() {
        let mut servers = Servers::default();
        for second in [1, 2] {
            servers.apply(&record(second, "a:1", 0));
        }
        servers.apply(&ServerRecord { role: Some(Role::Prefill), ..record(3, "a:1", 0) });
        let queue = servers.shared()[0].sums.time(Timer::Queue).expect("a time");
        assert_eq!(queue, Timed::exact(1, Micros(3_000)));
    }
}
