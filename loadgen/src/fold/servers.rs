//! The servers as they last told of themselves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use engine::units::UnitId;

use crate::live::ServerView;
use crate::metrics::{Counter, MAX_ROWS, Sums};
use crate::recording::ServerRecord;
use crate::time::Micros;

/// The window over which what was counted is told: that of the client's own recent figures.
const WINDOW: Micros = Micros(10_000_000);
/// Records of a server in the window; with more, the oldest go.
const MOST: usize = 64;
/// Failed KV transfers are an event at most this often.
const SAY_EVERY: Micros = Micros(30_000_000);

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// By name.
    rows: BTreeMap<Arc<str>, Row>,
    /// As published; made anew only after a record.
    shared: Option<Arc<Vec<ServerView>>>,
    /// When failed KV transfers were last an event, and how many have failed since.
    said: Option<Micros>,
    unsaid: u64,
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
        let count = |counter| record.sums.count(counter).unwrap_or(0);
        let failed = count(Counter::HandOffFailed).saturating_add(count(Counter::HandOffExpired));
        self.unsaid = self.unsaid.saturating_add(failed);
        if failed == 0 || self.said.is_some_and(|said| record.at < said + SAY_EVERY) {
            return None;
        }
        self.said = Some(record.at);
        let failed = std::mem::take(&mut self.unsaid);
        let transfers = if failed == 1 { "KV transfer" } else { "KV transfers" };
        Some(format!("{failed} {transfers} failed or expired, as {} tells", record.name))
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
        self.window.push_back((record.at, record.sums));
        let from = record.at.since(WINDOW);
        while self.window.len() > MOST || self.window.front().is_some_and(|(at, _)| *at < from) {
            self.window.pop_front();
        }
        let view = &mut self.view;
        (view.heard, view.span, view.whole) = (record.at, record.span, record.whole);
        view.role = record.role.or(view.role);
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
}
