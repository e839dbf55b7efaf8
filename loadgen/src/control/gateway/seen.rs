//! What is known of the workers: as the gateway lists them, as their engines were started, and which of them were taken out.

use std::collections::BTreeMap;

use engine::units::{Role, Split};

use super::engine::Started;
use super::workers::{Worker, kept};
use crate::control::plane::{Member, MemberState, Topology, Trouble};

/// How often an engine is asked how it was started.
const TRIES: u8 = 3;

/// What is known of a worker beside what the gateway lists.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// How its engine was started, or why that is not known.
    pub(super) engine: Result<Started, String>,
    /// Where it was last seen to be found, else where its engine was started to be.
    pub(super) bootstrap_port: Option<u16>,
    pub(super) gpus: Option<u32>,
    /// How often it was asked in vain.
    pub(super) tries: u8,
    /// The role that it was taken out of, or that its engine has told since.
    pub(super) out: Option<Role>,
    /// Whether its engine was asked to switch while it was out: then it is asked for its role.
    pub(super) asked: bool,
    /// Whether nobody has heard what became of that.
    pub(super) unheard: bool,
    /// Whether it was seen to be gone since it was taken out.
    gone: bool,
}

/// Nobody has been asked.
const UNKNOWN: &Known = &Known {
    engine: Err(String::new()),
    bootstrap_port: None,
    gpus: None,
    tries: 0,
    out: None,
    asked: false,
    unheard: false,
    gone: false,
};

impl Known {
    fn is_back(&mut self) {
        (self.out, self.asked, self.unheard, self.gone) = (None, false, false, false);
    }
}

/// Everything that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// As last listed.
    pub(super) workers: Vec<Worker>,
    known: BTreeMap<String, Known>,
}

impl Seen {
    pub(super) fn kept(&self) -> Split {
        kept(&self.workers)
    }

    pub(super) fn known(&self, url: &str) -> &Known {
        self.known.get(url).unwrap_or(UNKNOWN)
    }

    /// The worker that the gateway keeps there.
    pub(super) fn kept_at(&self, url: &str) -> Option<&Worker> {
        self.workers.iter().find(|worker| worker.url == url && worker.stays())
    }

    fn is_listed(&self, url: &str) -> bool {
        self.workers.iter().any(|worker| worker.url == url)
    }

    /// Those of whose engines nothing is known yet, but for those that never answer.
    pub(super) fn strangers(&self) -> Vec<String> {
        let unknown = |worker: &&Worker| {
            let known = self.known(&worker.url);
            known.engine.is_err() && known.tries < TRIES
        };
        self.workers.iter().filter(unknown).map(|worker| worker.url.clone()).collect()
    }

    /// An engine has told, or has not.
    pub(super) fn told(&mut self, url: String, engine: Result<Started, String>) {
        let known = self.known.entry(url).or_insert_with(|| UNKNOWN.clone());
        if let Ok(started) = &engine {
            known.gpus = started.gpus();
            known.bootstrap_port = known.bootstrap_port.or(started.bootstrap_port);
        }
        known.tries += u8::from(engine.is_err());
        known.engine = engine;
    }

    /// The gateway has listed its workers. Who was gone and serves again is out no more: if it goes once more, somebody else has
    /// taken it out. Who is neither listed nor out is forgotten.
    pub(super) fn listed(&mut self, workers: Vec<Worker>) {
        for worker in &workers {
            if let Some(port) = worker.bootstrap_port {
                self.known.entry(worker.url.clone()).or_insert_with(|| UNKNOWN.clone()).bootstrap_port = Some(port);
            }
        }
        self.workers = workers;
        let workers = &self.workers;
        self.known.retain(|url, known| {
            let listed = workers.iter().find(|worker| worker.url == *url);
            match listed {
                None => known.gone = true,
                Some(worker) if known.gone && worker.state() == MemberState::Serving => known.is_back(),
                Some(_) => {}
            }
            listed.is_some() || known.out.is_some()
        });
    }

    /// It was to be taken out, and is there all the same.
    pub(super) fn never_left(&mut self, url: &str) {
        if let Some(known) = self.known.get_mut(url) {
            known.is_back();
        }
    }

    /// A worker is taken out of a role.
    pub(super) fn taken_out(&mut self, url: &str, role: Role) {
        let known = self.known.entry(url.to_owned()).or_insert_with(|| UNKNOWN.clone());
        (known.out, known.asked, known.gone) = (Some(role), false, false);
    }

    /// Its engine is asked to switch.
    pub(super) fn asked(&mut self, url: &str) {
        if let Some(known) = self.known.get_mut(url) {
            (known.asked, known.unheard) = (true, true);
        }
    }

    /// The engine has answered to that, or has not.
    pub(super) fn heard(&mut self, url: &str, is_heard: bool) {
        if let Some(known) = self.known.get_mut(url) {
            known.unheard = !is_heard;
        }
    }

    /// Those out of service whose engines are asked for their roles.
    pub(super) fn switching(&self) -> Vec<String> {
        let switching = |(url, known): &(&String, &Known)| known.asked && known.out.is_some() && !self.is_listed(url);
        self.known.iter().filter(switching).map(|(url, _)| url.clone()).collect()
    }

    /// The engine of one that is out says that it has this role.
    pub(super) fn has_role(&mut self, url: &str, role: Role) {
        if let Some(known) = self.known.get_mut(url) {
            known.out = Some(role);
        }
    }

    /// So many of a role with the fewest requests under way; of equals, those whose address comes last.
    pub(super) fn least_loaded(&self, role: Role, count: usize) -> Vec<&Worker> {
        let serves = |worker: &&Worker| worker.role() == Some(role) && worker.state() == MemberState::Serving;
        let mut of_role: Vec<_> = self.workers.iter().filter(serves).collect();
        of_role.sort_by(|one, other| one.load.cmp(&other.load).then_with(|| other.url.cmp(&one.url)));
        of_role.truncate(count);
        of_role
    }

    pub(super) fn topology(&self) -> Topology {
        let listed = self.workers.iter().filter_map(|worker| {
            let member = Member::new(worker.url.clone(), worker.role()?, worker.state());
            Some(member.spanning(self.known(&worker.url).gpus))
        });
        let out = self.known.iter().filter(|(url, _)| !self.is_listed(url)).filter_map(|(url, known)| {
            Some(Member::new(url.clone(), known.out?, MemberState::Out).spanning(known.gpus))
        });
        let failed = self.workers.iter().filter(|worker| worker.has_failed());
        let trouble = |worker: &Worker| {
            Trouble::of_member(&worker.url, format!("the gateway says that {} has failed", worker.url))
        };
        Topology {
            members: listed.chain(out).collect(),
            wanted: Some(self.kept()),
            troubles: failed.map(trouble).collect(),
            ..Topology::default()
        }
    }
}
