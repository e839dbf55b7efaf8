//! What servers told of themselves over a run.
//!
//! What they counted from the end of the warm-up to the end of the run stands beside the figures of the requests that were due
//! from then on: servers count the times of a request when it is over, and the last ones are over after the schedule is.

use std::collections::BTreeMap;

use engine::units::Role;
use serde::Serialize;

use super::account::Account;
use crate::metrics::{Counter, Gauges, MAX_ROWS, Sums, Timer};
use crate::recording::ServerRecord;
use crate::time::Micros;

/// What servers told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerSummary {
    /// Scrapes that brought no page.
    pub failed_scrapes: u64,
    /// KV transfers that failed; `None` where nobody counts them.
    pub failed_kv_transfers: Option<u64>,
    /// Requests whose KV was given up because nobody fetched it; `None` where nobody counts them.
    pub expired_kv: Option<u64>,
    /// The client's mean TTFT, taken apart; `None` where servers tell too little.
    pub ttft: Option<Account>,
    /// The client's mean TPOT beside that of servers.
    pub tpot: Option<Account>,
    /// Each of them, and before them all that speak for the whole and all of a role together.
    pub rows: Vec<ServerRow>,
}

/// What one of them, or several together, told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ServerRow {
    /// Its name; `None` for several together.
    pub name: Option<String>,
    /// `prefill`, `decode`, `aggregated`, or `None` where it is not known.
    pub role: Option<String>,
    /// The unit that it is, where it is known.
    pub unit: Option<u16>,
    /// Units that are summed up; 1 for a single one.
    pub units: usize,
    /// It speaks for the whole service.
    pub whole: bool,
    /// Requests in batches.
    pub running: Option<Held>,
    /// Requests that waited.
    pub waiting: Option<Held>,
    /// Share of KV in use, 0..=1.
    pub kv_used: Option<Held>,
    /// TTFT as the server has it.
    pub ttft_ms: Option<Mean>,
    /// ITL as the server has it.
    pub itl_ms: Option<Mean>,
    /// E2E as the server has it.
    pub e2e_ms: Option<Mean>,
    /// Waiting for the first place in a batch.
    pub queue_ms: Option<Mean>,
    /// From there to the first token.
    pub prefill_ms: Option<Mean>,
    /// From the first token to the last.
    pub decode_ms: Option<Mean>,
    /// KV transfers.
    pub kv_transfer_ms: Option<Mean>,
    /// Bytes of them, in units of 10^6.
    pub kv_transfer_mb: Option<f64>,
    /// Those that failed.
    pub failed_kv_transfers: Option<u64>,
    /// Requests whose KV was given up.
    pub expired_kv: Option<u64>,
    /// Times a request lost its KV.
    pub preemptions: Option<u64>,
    /// Prompt tokens looked up in the prefix cache.
    pub prefix_queried_tokens: Option<u64>,
    /// Prompt tokens found there.
    pub prefix_hit_tokens: Option<u64>,
    /// Prompt tokens.
    pub input_tokens: Option<u64>,
    /// Tokens generated.
    pub output_tokens: Option<u64>,
}

/// What was held at the instants of scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Held {
    /// On average.
    pub mean: f64,
    /// At most.
    pub max: f64,
}

/// A time on average. Servers tell sums: no percentile is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean, or the middle of what it may be.
    pub mean: f64,
    /// The least and the most that it may be, where it is not known better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between: Option<[f64; 2]>,
    /// Of how many.
    pub n: u64,
}

/// Takes the records of servers.
#[derive(Clone, Debug, Default)]
pub(super) struct Servers {
    rows: BTreeMap<String, Row>,
    failed: u64,
    /// Anything was heard or missed at all.
    asked: bool,
}

#[derive(Clone, Debug, Default)]
struct Row {
    /// The last one.
    role: Option<Role>,
    unit: Option<u16>,
    whole: bool,
    /// What it told in each role that it had: after a shift it is another one's.
    stretches: BTreeMap<Option<Role>, Stretch>,
}

/// What was told over some time.
#[derive(Clone, Debug, Default)]
struct Stretch {
    running: Level,
    waiting: Level,
    kv: Level,
    sums: Sums,
}

impl Stretch {
    fn add(&mut self, other: &Self) {
        self.running.add(other.running);
        self.waiting.add(other.waiting);
        self.kv.add(other.kv);
        self.sums.add(&other.sums);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    sum: u64,
    taken: u64,
    max: u64,
}

impl Level {
    fn take(&mut self, value: Option<impl Into<u64>>) {
        if let Some(value) = value.map(Into::into) {
            (self.sum, self.taken, self.max) = (self.sum.saturating_add(value), self.taken + 1, self.max.max(value));
        }
    }

    fn add(&mut self, other: Self) {
        self.sum = self.sum.saturating_add(other.sum);
        (self.taken, self.max) = (self.taken + other.taken, self.max.max(other.max));
    }

    fn held(self, scale: f64) -> Option<Held> {
        let mean = self.sum as f64 / self.taken.max(1) as f64;
        (self.taken > 0).then_some(Held { mean: mean / scale, max: self.max as f64 / scale })
    }
}

/// What was counted in all. Where a gateway counts what its engines count, too, it is not counted twice.
pub(crate) fn counted<'a>(rows: impl Iterator<Item = (bool, &'a Sums)>, counter: Counter) -> Option<u64> {
    let mut sums = [Sums::default(); 2];
    rows.for_each(|(whole, of)| sums[usize::from(whole)].add(of));
    sums[0].count(counter).max(sums[1].count(counter))
}

impl Servers {
    pub(super) fn record(&mut self, warmup: Micros, record: &ServerRecord) {
        self.asked = true;
        if record.failed {
            self.failed += 1;
            return;
        }
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&record.name) {
            return;
        }
        let row = self.rows.entry(record.name.clone()).or_default();
        if row.role.is_none()
            && record.role.is_some()
            && let Some(before) = row.stretches.remove(&None)
        {
            // It had this role all along, and only now it is known.
            row.stretches.insert(record.role, before);
        }
        (row.role, row.unit) = (record.role.or(row.role), record.unit.or(row.unit));
        row.whole = record.whole;
        // What was counted until then belongs to what came before.
        if record.at <= warmup {
            return;
        }
        let Gauges { running, waiting, kv_used } = record.gauges;
        let stretch = row.stretches.entry(row.role).or_default();
        stretch.running.take(running);
        stretch.waiting.take(waiting);
        stretch.kv.take(kv_used);
        stretch.sums.add(&record.sums);
    }

    pub(super) fn summary(&self) -> Option<ServerSummary> {
        if !self.asked {
            return None;
        }
        let mut rows = Vec::new();
        let of = |whole: bool| self.rows.values().filter(move |row| row.whole == whole);
        let gateways: Vec<Stretch> = of(true).map(Row::all).collect();
        if gateways.len() > 1 {
            rows.push(ServerRow { whole: true, ..together(&gateways.iter().collect::<Vec<_>>(), None) });
        }
        for role in [Some(Role::Prefill), Some(Role::Decode), Some(Role::Aggregated), None] {
            let of_role: Vec<&Stretch> = of(false).filter_map(|row| row.stretches.get(&role)).collect();
            if !of_role.is_empty() {
                rows.push(together(&of_role, role));
            }
        }
        let told = || self.rows.values().flat_map(|row| row.stretches.values().map(|each| (row.whole, &each.sums)));
        let failed = |counter| counted(told(), counter);
        let (failed_kv_transfers, expired_kv) = (failed(Counter::HandOffFailed), failed(Counter::HandOffExpired));
        let mut single: Vec<(&String, &Row)> = self.rows.iter().collect();
        single.sort_by_key(|(name, row)| {
            (!row.whole, row.role.is_none(), row.role.map(|role| role as u8), row.unit, *name)
        });
        rows.extend(single.into_iter().map(|(name, row)| row.summary(name.clone())));
        let (ttft, tpot) = (None, None);
        Some(ServerSummary { failed_scrapes: self.failed, failed_kv_transfers, expired_kv, ttft, tpot, rows })
    }
}

/// All of a role: requests are added (their maxima came at different instants, so that the sum is an upper bound), shares of KV
/// averaged.
fn together(told: &[&Stretch], role: Option<Role>) -> ServerRow {
    let mut all = Stretch::default();
    for one in told {
        all.sums.add(&one.sums);
    }
    let held = |of: fn(&Stretch) -> Option<Held>| -> Vec<Held> { told.iter().filter_map(|one| of(one)).collect() };
    let added = |held: Vec<Held>| held.into_iter().reduce(|a, b| Held { mean: a.mean + b.mean, max: a.max + b.max });
    let kv = held(|one| one.kv.held(1000.0));
    let count = kv.len().max(1) as f64;
    let mean = kv.into_iter().reduce(|a, b| Held { mean: a.mean + b.mean, max: a.max.max(b.max) });
    ServerRow {
        role: role.map(|role| role.to_string()),
        units: told.len(),
        running: added(held(|one| one.running.held(1.0))),
        waiting: added(held(|one| one.waiting.held(1.0))),
        kv_used: mean.map(|sum| Held { mean: sum.mean / count, ..sum }),
        ..all.row()
    }
}

impl Row {
    /// Whatever role it had.
    fn all(&self) -> Stretch {
        let mut all = Stretch::default();
        for stretch in self.stretches.values() {
            all.add(stretch);
        }
        all
    }

    fn summary(&self, name: String) -> ServerRow {
        let role = self.role.map(|role| role.to_string());
        ServerRow { name: Some(name), role, unit: self.unit, whole: self.whole, ..self.all().row() }
    }
}

impl Stretch {
    fn row(&self) -> ServerRow {
        let sums = &self.sums;
        let mean = |timer| {
            let time = sums.time(timer).filter(|time| time.taken > 0)?;
            let ms = |sum: Micros| sum.as_millis_f64() / time.taken as f64;
            let (least, most) = (ms(time.least), ms(time.most));
            let between = (time.least != time.most).then_some([least, most]);
            Some(Mean { mean: f64::midpoint(least, most), between, n: time.taken })
        };
        ServerRow {
            name: None,
            role: None,
            unit: None,
            units: 1,
            whole: false,
            running: self.running.held(1.0),
            waiting: self.waiting.held(1.0),
            kv_used: self.kv.held(1000.0),
            ttft_ms: mean(Timer::Ttft),
            itl_ms: mean(Timer::Gap),
            e2e_ms: mean(Timer::EndToEnd),
            queue_ms: mean(Timer::Queue),
            prefill_ms: mean(Timer::Prefill),
            decode_ms: mean(Timer::Decode),
            kv_transfer_ms: mean(Timer::HandOff),
            kv_transfer_mb: sums.count(Counter::HandOffBytes).map(|bytes| bytes as f64 / 1e6),
            failed_kv_transfers: sums.count(Counter::HandOffFailed),
            expired_kv: sums.count(Counter::HandOffExpired),
            preemptions: sums.count(Counter::Preempted),
            prefix_queried_tokens: sums.count(Counter::PrefixQueried),
            prefix_hit_tokens: sums.count(Counter::PrefixHit),
            input_tokens: sums.count(Counter::Input),
            output_tokens: sums.count(Counter::Output),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Timed;

    fn record(second: u64, name: &str, role: Option<Role>, whole: bool, ms: u64) -> ServerRecord {
        let mut sums = Sums::default();
        sums.add_time(Timer::Prefill, Timed::exact(1, Micros(ms * 1000)));
        let gauges = Gauges { running: Some(ms as u32), ..Gauges::default() };
        ServerRecord {
            failed: false,
            span: Micros(1_000_000),
            role,
            whole,
            gauges,
            sums,
            ..ServerRecord::failed(Micros(second * 1_000_000), name.to_owned())
        }
    }

    fn rows(records: &[ServerRecord]) -> Vec<ServerRow> {
        let mut servers = Servers::default();
        for record in records {
            servers.record(Micros::ZERO, record);
        }
        servers.summary().expect("a summary").rows
    }

    fn found(rows: &[ServerRow], name: Option<&str>, role: Option<&str>) -> (f64, u64, usize) {
        let is_it = |row: &&ServerRow| row.name.as_deref() == name && row.role.as_deref() == role;
        let row = rows.iter().find(is_it).expect("a row");
        let mean = row.prefill_ms.expect("a mean");
        (mean.mean, mean.n, row.units)
    }

    #[test]
    fn what_a_unit_told_before_it_was_shifted_is_that_of_its_old_role() {
        let (prefill, decode) = (Some(Role::Prefill), Some(Role::Decode));
        let rows = rows(&[
            record(1, "a", None, false, 100),
            record(2, "a", prefill, false, 300),
            record(2, "b", decode, false, 10),
            record(3, "a", decode, false, 30),
        ]);
        assert_eq!(found(&rows, None, Some("prefill")), (200.0, 2, 1), "its role is known from the second record on");
        assert_eq!(found(&rows, None, Some("decode")), (20.0, 2, 2));
        let (mean, n, units) = found(&rows, Some("a"), Some("decode"));
        assert!((mean - 430.0 / 3.0).abs() < 1e-9 && (n, units) == (3, 1), "all of it by itself: {mean}");
    }

    #[test]
    fn gateways_that_share_the_load_are_one_service() {
        let rows = rows(&[record(1, "a", None, true, 100), record(1, "b", None, true, 300)]);
        assert_eq!(found(&rows[..1], None, None), (200.0, 2, 2));
        assert_eq!((rows.len(), rows[0].running.map(|held| held.mean)), (3, Some(400.0)));
        assert!(rows.iter().all(|row| row.whole), "{rows:?}");
    }
}
