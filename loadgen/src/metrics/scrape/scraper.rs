//! All pages of a run, read in rounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::remote::one_line;
use engine::units::Role;
use reqwest::Client;
use reqwest::header::HeaderMap;
use tokio::task::JoinSet;

use super::discovery::Discovery;
use super::fetch::fetch;
use super::naming::named;
use super::{Reading, Shared};
use crate::clock::RunClock;
use crate::http::{ApiKey, HttpAddress, with_key};
use crate::metrics::delta::Memory;
use crate::metrics::page::{self, Key, Page};
use crate::metrics::source::{MAX_SOURCES, MetricsAt, Place, SourceAt, authority, page_of, path_before_page};
use crate::metrics::{Gauges, MAX_ROWS, Sums};
use crate::recording::ServerRecord;
use crate::time::Micros;

/// The longest page that is read, and the most of a round of them.
const LONGEST: usize = 8 << 20;
const ROUND: usize = 128 << 20;
/// A source rests so many times as long as its page took to be read.
const REST: u32 = 20;
/// A row that has not been told of for so long has gone, and its place is another's.
const GONE: Micros = Micros(60_000_000);

/// A page that is read again and again.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is so or not, whatever the others are")]
pub(super) struct Source {
    url: String,
    /// Host and port: what people call it.
    pub(super) name: String,
    pub(super) role: Option<Role>,
    key: Option<ApiKey>,
    headers: HeaderMap,
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

#[derive(Debug)]
pub(super) struct Scraper {
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
    pub(super) fn new(at: MetricsAt, client: Client, shared: Arc<Shared>) -> Self {
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
                Place::Ray(file) => scraper.discoveries.push(Discovery::new(file)),
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
        let (key, headers) = self.at.told_to(address);
        let own = self.at.tried.iter().any(|target| authority(target) == name);
        self.sources.push(Source {
            url,
            name,
            role,
            key,
            headers,
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
    pub(super) fn is_idle(&self) -> bool {
        self.sources.is_empty() && self.discoveries.is_empty()
    }

    /// Nobody rests any longer.
    pub(super) fn wake(&mut self) {
        for source in &mut self.sources {
            source.rests = Duration::ZERO;
        }
    }

    /// Reads all pages, at the same time.
    pub(super) async fn round(&mut self) {
        self.discover();
        let longest = LONGEST.min(ROUND / self.sources.len().max(1));
        let mut fetching = JoinSet::new();
        for (index, source) in self.sources.iter_mut().enumerate() {
            source.rests = source.rests.saturating_sub(self.at.period);
            if source.rests > Duration::ZERO {
                continue;
            }
            let (client, url, key) = (self.client.clone(), source.url.clone(), source.key.clone());
            let (shared, headers) = (Arc::clone(&self.shared), source.headers.clone());
            fetching.spawn(async move {
                let request = with_key(client.get(url).headers(headers), key.as_ref());
                (index, fetch(request, longest, &shared).await)
            });
        }
        let mut pages = Vec::new();
        // Each is read as it comes: its bytes go before those of the next one are looked at.
        while let Some(fetched) = fetching.join_next().await {
            let Ok((index, fetched)) = fetched else { continue };
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
        pages.sort_by_key(|(index, ..)| *index);
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
            if let Some(status) = [401, 403].into_iter().find(|status| why.ends_with(&status.to_string())) {
                let text = format!(
                    "{} answered {status}: what the server tells of itself wants a key or header that it was not given",
                    source.url
                );
                self.shared.push(Reading::Remark { at, text });
            }
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
            if row.gauges == Gauges::default() && sums == Sums::default() {
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
        let mut found = Vec::new();
        for discovery in &mut self.discoveries {
            match discovery.look(self.at.period) {
                Ok(addresses) => found.extend(addresses),
                Err(text) => self.shared.push(Reading::Remark { at: self.shared.now(), text }),
            }
        }
        if found.is_empty() {
            return;
        }
        let named: BTreeSet<String> = self.at.sources.iter().filter_map(page_url).collect();
        let discoveries = &self.discoveries;
        let discovered = |url: &String| discoveries.iter().any(|discovery| discovery.names(url));
        self.sources.retain(|source| source.tried || named.contains(&source.url) || discovered(&source.url));
        for address in found {
            self.add(&address, None, false);
        }
    }
}

fn page_url(source: &SourceAt) -> Option<String> {
    match &source.place {
        Place::Page(address) => Some(page_of(address)),
        Place::Ray(_) => None,
    }
}
