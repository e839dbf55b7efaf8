//! The thread that reads the pages.
//!
//! ```text
//!   metrics thread ── a round each second: all pages at once ──► readings (bounded) ──► observing thread
//! ```
//!
//! # Bounds, and what happens at each
//! - A page: [`LONGEST`] bytes and [`TIMEOUT`]; more is a failed scrape. A source rests twenty times as long as its page took to be
//!   read, so that the largest pages cost a twentieth of a core.
//! - Sources, rows and series: more are left out, and that is said once.
//! - Readings that wait to be taken: [`WAITING`]; then the oldest go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use engine::remote::one_line;
use engine::units::Role;
use reqwest::Client;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::delta::Memory;
use super::page::{self, Key, Page, Row};
use super::source::{MAX_SOURCES, MetricsAt, Place, authority, discovered, page_of, path_before_page};
use super::{MAX_ROWS, Sums};
use crate::clock::RunClock;
use crate::http::{ApiKey, HttpAddress, read_to, root, with_key};
use crate::recording::ServerRecord;
use crate::time::Micros;

/// The longest page that is read.
const LONGEST: usize = 8 << 20;
/// How long a page may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long the last round of a run may take.
const LAST: Duration = Duration::from_secs(3);
/// How long an unused connection is kept: servers close theirs after 5 s.
const IDLE: Duration = Duration::from_secs(4);
/// Readings that wait to be taken.
const WAITING: usize = 4_096;
/// A source rests so many times as long as its page took to be read.
const REST: u32 = 20;
/// Between two looks at a service-discovery file; Ray writes it every five seconds.
const DISCOVER: Duration = Duration::from_secs(5);
/// A row that has not been told of for so long has gone, and its place is another's.
const GONE: Micros = Micros(60_000_000);
/// The longest service-discovery file that is read.
const LONGEST_FILE: u64 = 1 << 20;

/// What came of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// What a server tells, or that it does not.
    Server(Box<ServerRecord>),
    /// Something that people want to read of, once.
    Remark {
        /// When.
        at: Micros,
        /// A sentence.
        text: String,
    },
}

/// The pages of a run's servers. Dropped, it ends its thread.
#[derive(Debug)]
pub struct Metrics {
    shared: Arc<Shared>,
    asks: mpsc::Sender<SyncSender<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The run's clock, once there is a run.
    clock: Mutex<Option<RunClock>>,
    readings: Mutex<VecDeque<Reading>>,
    cpu_us: AtomicU64,
}

impl Shared {
    fn now(&self) -> Micros {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).map_or(Micros::ZERO, |clock| clock.now())
    }

    fn push(&self, reading: Reading) {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if readings.len() >= WAITING {
            readings.pop_front();
        }
        readings.push_back(reading);
    }
}

impl Metrics {
    /// Reads every page once, so that all that is counted from here on is the run's, and goes on with it. Blocks for
    /// [`TIMEOUT`] at most, so it is not for async code. `None` where there is nothing to be read.
    ///
    /// # Errors
    /// One line: why the system has no client or thread for it.
    pub fn open(at: MetricsAt) -> Result<Option<Self>, String> {
        let client = crate::http::client(IDLE, &at.http.of_controls())?;
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().max_blocking_threads(1).thread_name("resolve").build();
        let runtime = runtime.map_err(|error| format!("cannot start the metrics thread: {error}"))?;
        let shared = Arc::new(Shared::default());
        let period = at.period;
        let mut scraper = Scraper::new(at, client, Arc::clone(&shared));
        runtime.block_on(scraper.round());
        if scraper.is_idle() {
            return Ok(None);
        }
        let (asks, asked) = mpsc::channel(1);
        let thread = std::thread::Builder::new().name("metrics".to_owned());
        let run = move || carry(runtime, scraper, period, asked);
        thread.spawn(run).map_err(|error| format!("cannot start the metrics thread: {error}"))?;
        Ok(Some(Self { shared, asks }))
    }

    /// From now on instants are those of this clock.
    pub(crate) fn align(&self, clock: RunClock) {
        *self.shared.clock.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock);
    }

    /// What has come since this was last asked.
    pub(crate) fn take(&self) -> VecDeque<Reading> {
        std::mem::take(&mut self.shared.readings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads every page once more and waits for that, but not for long.
    pub(crate) fn last(&self) {
        let (done, waits) = sync_channel(1);
        if self.asks.try_send(done).is_ok() {
            let _ = waits.recv_timeout(LAST);
        }
    }

    /// CPU time of the thread.
    pub(crate) fn cpu(&self) -> Cpu {
        Cpu(Arc::clone(&self.shared))
    }
}

/// The CPU time of the thread.
#[derive(Clone, Debug)]
pub(crate) struct Cpu(Arc<Shared>);

impl Cpu {
    pub(crate) fn time(&self) -> Micros {
        Micros(self.0.cpu_us.load(Ordering::Relaxed))
    }
}

fn carry(runtime: Runtime, mut scraper: Scraper, period: Duration, mut asked: mpsc::Receiver<SyncSender<()>>) {
    runtime.block_on(async {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one comes at once, and the first round is over.
        ticks.tick().await;
        loop {
            tokio::select! {
                done = asked.recv() => {
                    let Some(done) = done else { return };
                    scraper.wake();
                    scraper.round().await;
                    // Full or gone only when nobody waits any more.
                    let _ = done.try_send(());
                }
                _ = ticks.tick() => scraper.round().await,
            }
        }
    });
    runtime.shutdown_background();
}

/// A page that is read again and again.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is so or not, whatever the others are")]
struct Source {
    url: String,
    /// Host and port: what people call it.
    name: String,
    role: Option<Role>,
    key: Option<ApiKey>,
    /// Nobody has named it: it may be no source at all.
    tried: bool,
    /// It is the target's own page.
    own: bool,
    memory: Memory,
    last: Option<Micros>,
    failing: bool,
    /// Said that several processes answer.
    said_several: bool,
    /// Left alone for so many wakings of the clock.
    rests: Duration,
}

/// A file that names pages.
#[derive(Debug)]
struct Discovery {
    file: PathBuf,
    since: Duration,
    failing: bool,
    names: BTreeSet<String>,
}

#[derive(Debug)]
struct Scraper {
    at: MetricsAt,
    client: Client,
    shared: Arc<Shared>,
    sources: Vec<Source>,
    discoveries: Vec<Discovery>,
    /// Where Ray's replicas belong.
    deployments: BTreeMap<String, String>,
    /// There is more than one source, so that names of units do not tell them apart.
    several: bool,
    /// Somebody does nothing but prefill.
    has_prefill: bool,
    /// Rows that have been told of, and when they last were.
    names: BTreeMap<String, Micros>,
    /// Said that there are more than are kept.
    said_left_out: bool,
}

impl Scraper {
    fn new(at: MetricsAt, client: Client, shared: Arc<Shared>) -> Self {
        let mut scraper = Self {
            at: at.clone(),
            client,
            shared,
            sources: Vec::new(),
            discoveries: Vec::new(),
            deployments: BTreeMap::new(),
            several: false,
            has_prefill: false,
            names: BTreeMap::new(),
            said_left_out: false,
        };
        for source in at.sources {
            match source.place {
                Place::Page(address) => scraper.add(&address, source.role, false),
                Place::Ray(file) => scraper.discoveries.push(Discovery {
                    file,
                    since: DISCOVER,
                    failing: false,
                    names: BTreeSet::new(),
                }),
            }
        }
        for address in at.tried {
            scraper.add(&address, None, true);
        }
        scraper.tell_apart();
        scraper.several = scraper.sources.len() + scraper.discoveries.len() > 1;
        scraper
    }

    fn add(&mut self, address: &HttpAddress, role: Option<Role>, tried: bool) {
        // A path of the target's own is where its API begins, and no page.
        let url = if tried { address.at("/metrics") } else { page_of(address) };
        let name = authority(address);
        if self.sources.iter().any(|source| source.url == url) || self.sources.len() >= MAX_SOURCES {
            return;
        }
        let key = self.at.key_for(address).cloned();
        let own = self.at.tried.iter().any(|target| authority(target) == name);
        self.sources.push(Source {
            url,
            name,
            role,
            key,
            tried,
            own,
            memory: Memory::default(),
            last: None,
            failing: false,
            said_several: false,
            rests: Duration::ZERO,
        });
    }

    /// Pages of one host and port have their paths in their names.
    fn tell_apart(&mut self) {
        let mut pages: BTreeMap<String, usize> = BTreeMap::new();
        for source in &self.sources {
            *pages.entry(source.name.clone()).or_default() += 1;
        }
        for source in &mut self.sources {
            if pages.get(&source.name).is_some_and(|pages| *pages > 1) {
                source.name = one_line(&format!("{}{}", source.name, path_before_page(&source.url)));
            }
        }
    }

    /// Whether there is nothing to be read, now or later.
    fn is_idle(&self) -> bool {
        self.sources.is_empty() && self.discoveries.is_empty()
    }

    /// Nobody rests any longer.
    fn wake(&mut self) {
        for source in &mut self.sources {
            source.rests = Duration::ZERO;
        }
    }

    /// Reads all pages, at the same time.
    async fn round(&mut self) {
        self.discover();
        let mut fetching = JoinSet::new();
        for (index, source) in self.sources.iter_mut().enumerate() {
            source.rests = source.rests.saturating_sub(self.at.period);
            if source.rests > Duration::ZERO {
                continue;
            }
            let (client, url, key) = (self.client.clone(), source.url.clone(), source.key.clone());
            let shared = Arc::clone(&self.shared);
            fetching.spawn(async move { (index, fetch(&client, &url, key.as_ref(), &shared).await) });
        }
        let mut fetched = Vec::with_capacity(fetching.len());
        while let Some(one) = fetching.join_next().await {
            fetched.extend(one.ok());
        }
        fetched.sort_by_key(|(index, _)| *index);
        let mut pages = Vec::new();
        for (index, fetched) in fetched {
            let clock = RunClock::start();
            let read = fetched
                .and_then(|(at, body)| page::read(&body).map(|page| (at, page)).map_err(|error| error.to_string()));
            let cost = Duration::from_micros(clock.now().0) * REST;
            if let Some(source) = self.sources.get_mut(index) {
                source.rests = if cost > self.at.period { cost } else { Duration::ZERO };
            }
            match read {
                Ok((at, page)) => pages.push((index, at, page)),
                Err(why) => self.failed(index, &why),
            }
        }
        for (_, _, page) in &mut pages {
            self.deployments.append(&mut page.replicas);
            self.has_prefill |= page.rows.iter().any(|row| row.role == Some(Role::Prefill));
        }
        while self.deployments.len() > 16 * MAX_ROWS {
            self.deployments.pop_first();
        }
        for (index, at, page) in pages {
            self.tell(index, at, page);
        }
        // A page that was only tried and is none was none from the start.
        self.sources.retain(|source| !source.tried || source.last.is_some());
        self.shared.cpu_us.store(kernels::thread::cpu_time_ns().unwrap_or(0) / 1000, Ordering::Relaxed);
    }

    fn failed(&mut self, index: usize, why: &str) {
        let at = self.shared.now();
        let Some(source) = self.sources.get_mut(index) else { return };
        if source.tried && source.last.is_none() {
            return;
        }
        if !std::mem::replace(&mut source.failing, true) {
            let text = format!("{} tells nothing of itself: {why}", source.url);
            self.shared.push(Reading::Remark { at, text });
        }
        self.shared.push(Reading::Server(Box::new(ServerRecord::failed(at, source.name.clone()))));
    }

    fn tell(&mut self, index: usize, at: Micros, page: Page) {
        let several = self.several;
        let Some(source) = self.sources.get_mut(index) else { return };
        if std::mem::take(&mut source.failing) {
            let text = format!("{} tells of itself again", source.url);
            self.shared.push(Reading::Remark { at, text });
        }
        source.memory.page(page.started);
        let span = source.last.map_or(Micros::ZERO, |last| at.since(last));
        source.last = Some(at);
        let mut left_out = page.left_out;
        for row in page.rows {
            let sums = source.memory.take(&row.series);
            let (name, role) = named(source, &row, &self.deployments, several, self.has_prefill);
            if row.gauges == super::Gauges::default() && sums == Sums::default() {
                continue;
            }
            if self.names.len() >= MAX_ROWS && !self.names.contains_key(&name) {
                // Replicas come and go.
                self.names.retain(|_, told| at.since(*told) < GONE);
                if self.names.len() >= MAX_ROWS {
                    left_out = true;
                    continue;
                }
            }
            self.names.insert(name.clone(), at);
            let unit = match row.key {
                Key::Unit(unit) if source.own => Some(unit),
                _ => None,
            };
            self.shared.push(Reading::Server(Box::new(ServerRecord {
                at,
                span,
                name,
                role,
                unit,
                whole: row.key == Key::Service,
                failed: false,
                gauges: row.gauges,
                sums,
            })));
        }
        if source.memory.is_of_several() && !std::mem::replace(&mut source.said_several, true) {
            let text =
                format!("{} is answered by several processes in turn: what they count cannot be told", source.url);
            self.shared.push(Reading::Remark { at, text });
        }
        if left_out && !std::mem::replace(&mut self.said_left_out, true) {
            let text = format!("more than {MAX_ROWS} servers tell of themselves: figures of the others are left out");
            self.shared.push(Reading::Remark { at, text });
        }
    }

    /// Looks at the files that name pages. A page that is named no more is read no more.
    fn discover(&mut self) {
        let period = self.at.period;
        let mut found = Vec::new();
        for discovery in &mut self.discoveries {
            discovery.since += period;
            if discovery.since < DISCOVER {
                continue;
            }
            discovery.since = Duration::ZERO;
            match read_file(&discovery.file) {
                Ok(addresses) => {
                    discovery.failing = false;
                    discovery.names = addresses.iter().map(page_of).collect();
                    found.extend(addresses);
                }
                Err(why) => {
                    if !std::mem::replace(&mut discovery.failing, true) {
                        let text = format!("{} {why}", discovery.file.display());
                        self.shared.push(Reading::Remark { at: self.shared.now(), text });
                    }
                }
            }
        }
        if !found.is_empty() {
            let named: BTreeSet<String> = self.at.sources.iter().filter_map(page_url).collect();
            let discovered: BTreeSet<String> = self.discoveries.iter().flat_map(|d| d.names.iter().cloned()).collect();
            self.sources
                .retain(|source| source.tried || named.contains(&source.url) || discovered.contains(&source.url));
            for address in found {
                self.add(&address, None, false);
            }
        }
    }
}

fn page_url(source: &super::SourceAt) -> Option<String> {
    match &source.place {
        Place::Page(address) => Some(page_of(address)),
        Place::Ray(_) => None,
    }
}

/// What a row is called, and its role.
fn named(
    source: &Source,
    row: &Row,
    deployments: &BTreeMap<String, String>,
    several: bool,
    has_prefill: bool,
) -> (String, Option<Role>) {
    let by_component = (row.backend && has_prefill).then_some(Role::Decode);
    let told = row.role.or(by_component);
    match &row.key {
        Key::Page => (source.name.clone(), source.role.or(told)),
        Key::Service => (source.name.clone(), None),
        Key::Unit(unit) if several => (format!("{} unit {unit}", source.name), told),
        Key::Unit(unit) => (format!("unit {unit}"), told),
        Key::Worker(worker) => {
            let name = worker.split_once("://").map_or(worker.as_str(), |(_, rest)| rest);
            (one_line(name.trim_end_matches('/')), told)
        }
        Key::Replica(replica) => match deployments.get(replica) {
            Some(deployment) => (one_line(&format!("{deployment}#{replica}")), told.or_else(|| side(deployment))),
            None => (one_line(replica), source.role.or(told)),
        },
    }
}

/// The side of a deployment that Ray's own builder has named.
fn side(deployment: &str) -> Option<Role> {
    match deployment.split(':').next() {
        Some("Prefill") => Some(Role::Prefill),
        Some("Decode") => Some(Role::Decode),
        _ => None,
    }
}

fn read_file(file: &std::path::Path) -> Result<Vec<HttpAddress>, String> {
    let read = |file: &std::path::Path| -> std::io::Result<Vec<u8>> {
        if std::fs::metadata(file)?.len() > LONGEST_FILE {
            return Err(std::io::Error::other("it is longer than 1 MiB"));
        }
        std::fs::read(file)
    };
    let bytes = read(file).map_err(|error| format!("cannot be read: {error}"))?;
    discovered(&bytes)
}

/// A page, with the instant at which it began to arrive.
async fn fetch(client: &Client, url: &str, key: Option<&ApiKey>, shared: &Shared) -> Result<(Micros, Vec<u8>), String> {
    let request = with_key(client.get(url), key).header("accept", "text/plain;version=0.0.4");
    let fetched = tokio::time::timeout(TIMEOUT, async {
        let response = request.send().await.map_err(|error| root(&error))?;
        let at = shared.now();
        let status = response.status();
        if !status.is_success() {
            return Err(format!("it answered {}", status.as_u16()));
        }
        let body = read_to(response, LONGEST).await.map_err(|error| root(&error))?;
        if body.len() > LONGEST {
            return Err(format!("its page is longer than {} MiB", LONGEST >> 20));
        }
        Ok((at, body))
    });
    fetched.await.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
}
