//! A page as rows: what each engine, unit or worker on it holds and has counted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use engine::units::Role;

use super::MAX_ROWS;
use super::delta::Series;
use super::exposition::{NotText, Sample, samples};
use super::families::{Gauge, Means, Tally, Whose, families};
use super::vocabulary::Gauges;

/// Names of replicas and deployments that are kept; Ray's are short.
const NAME: usize = 200;

/// Whose row it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// The engine whose page it is.
    Page,
    /// The whole service.
    Service,
    /// A unit of this program.
    Unit(u16),
    /// A worker behind a gateway.
    Worker(String),
    /// A replica of Ray's.
    Replica(String),
}

/// What a page tells of one of them.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) key: Key,
    pub(super) role: Option<Role>,
    /// One of Dynamo's backends: it decodes where others prefill, and does both where none does.
    pub(super) backend: bool,
    pub(super) gauges: Gauges,
    pub(super) series: Vec<Series>,
}

/// A page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    pub(super) rows: Vec<Row>,
    /// There are more of them than are kept.
    pub(super) left_out: bool,
    /// Replicas of Ray's with their deployments, wherever they run.
    pub(super) replicas: BTreeMap<String, String>,
    /// When the process began whose page it is, where one alone says so.
    pub(super) started: Option<f64>,
}

/// Reads a page.
///
/// # Errors
/// When it is not in the text format.
pub(super) fn read(page: &[u8]) -> Result<Page, NotText> {
    let mut reading = Reading::default();
    for sample in samples(page)? {
        reading.take(&sample);
    }
    Ok(reading.finish())
}

#[derive(Default)]
struct Reading {
    rows: BTreeMap<Key, Open>,
    left_out: bool,
    replicas: BTreeMap<String, String>,
    /// This program's own page: what vLLM has of an engine, it has of all units together.
    own: bool,
    /// When processes began.
    started: Option<f64>,
    /// Several tell that on this page.
    several: bool,
}

/// A row that is being read.
#[derive(Default)]
struct Open {
    role: Option<Role>,
    backend: bool,
    gauges: [Option<Mix>; Gauge::COUNT],
    series: Vec<Series>,
}

/// Values of one gauge: those of the best rank, to be added or averaged.
#[derive(Clone, Copy)]
struct Mix {
    rank: u8,
    sum: f64,
    count: u32,
}

impl Reading {
    fn take(&mut self, sample: &Sample<'_>) {
        self.own |= sample.name.starts_with("pdtune_");
        if sample.name == "process_start_time_seconds" {
            self.several |= self.started.replace(sample.value).is_some();
        }
        if sample.name.starts_with("ray_serve_") && !sample.name.ends_with("_bucket") {
            self.place_of_replica(sample);
        } else if sample.name == "pdtune_unit_role" {
            self.role_of_unit(sample);
        }
        // One that prefills has the first token at its own end of the way; the one that decodes has all of it.
        if sample.name.starts_with("sglang:time_to_first_token") && role(sample) == Some(Role::Prefill) {
            return;
        }
        for (family, means) in families(sample.name) {
            if family.only.is_some_and(|(label, value)| sample.label(label).as_deref() != Some(value)) {
                continue;
            }
            let Some(row) = key(family.whose, sample).and_then(|key| self.row(key)) else { continue };
            row.role = row.role.or_else(|| role(sample));
            row.backend |= sample.label("dynamo_component").as_deref() == Some("backend");
            let value = family.value(means, sample.value);
            match means {
                Means::Gauge(gauge) => row.gauge(gauge, family.rank, value),
                Means::Tally(tally) => row.tally(sample, tally, family.rank, value),
                Means::Bucket(timer) => {
                    let le = sample.label("le").and_then(|le| le.parse().ok()).filter(|le: &f64| !le.is_nan());
                    if let Some(le) = le {
                        row.tally(sample, Tally::Within(timer, family.bound(le)), family.rank, value);
                    }
                }
                Means::Time(_) => {}
            }
        }
    }

    fn row(&mut self, key: Key) -> Option<&mut Open> {
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&key) {
            self.left_out = true;
            return None;
        }
        Some(self.rows.entry(key).or_default())
    }

    fn place_of_replica(&mut self, sample: &Sample<'_>) {
        let known = sample.label("replica").zip(sample.label("deployment"));
        if let Some((replica, deployment)) = known
            && replica.len() <= NAME
            && deployment.len() <= NAME
            && self.replicas.len() < 4 * MAX_ROWS
        {
            self.replicas.insert(last_part(&replica).to_owned(), last_part(&deployment).to_owned());
        }
    }

    fn role_of_unit(&mut self, sample: &Sample<'_>) {
        if sample.value < 0.5 {
            return;
        }
        let role = sample.label("role").and_then(|role| named_role(&role));
        if let Some(row) = key(Whose::Unit, sample).and_then(|key| self.row(key)) {
            row.role = role;
        }
    }

    fn finish(mut self) -> Page {
        if self.own
            && let Some(page) = self.rows.remove(&Key::Page)
        {
            self.rows.entry(Key::Service).or_default().join(page);
        }
        let row = |(key, open): (Key, Open)| Row {
            key,
            role: open.role,
            backend: open.backend,
            gauges: open.gauges(),
            series: open.series,
        };
        Page {
            rows: self.rows.into_iter().map(row).collect(),
            left_out: self.left_out,
            replicas: self.replicas,
            started: self.started.filter(|started| !self.several && started.is_finite()),
        }
    }
}

impl Open {
    /// What another row tells of the same: of each gauge the better rank, and this row's where they are equal.
    fn join(&mut self, other: Self) {
        self.role = self.role.or(other.role);
        self.backend |= other.backend;
        for (mine, theirs) in self.gauges.iter_mut().zip(other.gauges) {
            if mine.is_none_or(|mine| theirs.is_some_and(|theirs| theirs.rank < mine.rank)) {
                *mine = theirs;
            }
        }
        self.series.extend(other.series);
    }

    fn tally(&mut self, sample: &Sample<'_>, tally: Tally, rank: u8, value: f64) {
        self.series.push(Series { id: identity(sample, tally), tally, rank, value });
    }

    fn gauge(&mut self, gauge: Gauge, rank: u8, value: f64) {
        // A gateway sets the values of a worker that has gone to -1.
        if !(value.is_finite() && value >= 0.0) {
            return;
        }
        let place = &mut self.gauges[gauge as usize];
        *place = match *place {
            Some(mix) if mix.rank == rank => Some(Mix { sum: mix.sum + value, count: mix.count + 1, ..mix }),
            Some(mix) if mix.rank < rank => Some(mix),
            _ => Some(Mix { rank, sum: value, count: 1 }),
        };
    }

    /// Requests of several ranks of an engine are added, shares of their KV are averaged.
    fn gauges(&self) -> Gauges {
        let sum = |gauge: Gauge| self.gauges[gauge as usize].map(|mix| mix.sum);
        let requests = |gauge| sum(gauge).map(|sum| sum.round().min(f64::from(u32::MAX)) as u32);
        let mean = self.gauges[Gauge::KvUsed as usize].map(|mix| mix.sum / f64::from(mix.count));
        let of_blocks = || sum(Gauge::KvHeld).zip(sum(Gauge::KvBlocks)).map(|(held, blocks)| held / blocks.max(1.0));
        Gauges {
            running: requests(Gauge::Running),
            waiting: requests(Gauge::Waiting),
            kv_used: mean.or_else(of_blocks).map(|share| (share.clamp(0.0, 1.0) * 1000.0).round() as u16),
        }
    }
}

fn key(whose: Whose, sample: &Sample<'_>) -> Option<Key> {
    let short = |name: Cow<'_, str>| (!name.is_empty() && name.len() <= NAME).then(|| name.into_owned());
    match whose {
        Whose::Service => Some(Key::Service),
        Whose::Unit => sample.label("unit")?.parse().ok().map(Key::Unit),
        Whose::Worker => sample.label("worker").and_then(short).map(Key::Worker),
        Whose::Engine if sample.name.starts_with("ray_") => {
            // An engine outside of Serve has no replica, but a process.
            let replica = sample.label("ReplicaId").filter(|id| !id.is_empty()).or_else(|| sample.label("WorkerId"));
            Some(replica.and_then(short).map_or(Key::Page, |id| Key::Replica(last_part(&id).to_owned())))
        }
        Whose::Engine => Some(Key::Page),
    }
}

/// The role that the labels of a sample tell.
fn role(sample: &Sample<'_>) -> Option<Role> {
    sample.labels().find_map(|(label, value)| match label {
        "engine_type" | "role" | "disaggregation_mode" => named_role(&value),
        "dynamo_component" if value == "prefill" => Some(Role::Prefill),
        _ => None,
    })
}

fn named_role(name: &str) -> Option<Role> {
    match name {
        "prefill" => Some(Role::Prefill),
        "decode" => Some(Role::Decode),
        "aggregated" | "unified" => Some(Role::Aggregated),
        _ => None,
    }
}

/// Ray's full names have the application before a `#`.
fn last_part(name: &str) -> &str {
    name.rsplit('#').next().unwrap_or(name)
}

/// What tells a series apart: a name can count for two things.
fn identity(sample: &Sample<'_>, tally: Tally) -> u64 {
    let mut hasher = DefaultHasher::new();
    (sample.name, sample.written_labels(), format!("{tally:?}")).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
