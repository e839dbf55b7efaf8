//! Pods whose label says their role (llm-d's `llm-d.ai/role`): a unit changes its role where it is, without a restart, for engines
//! that can do both.
//!
//! A unit is taken out of routing by taking its label off, is given time to end what it holds, and is put back under the other
//! name. Where nobody could stand in for it meanwhile, its label is replaced at once. A unit of several nodes is one, whether all of
//! its pods carry the label or the one that leads alone, and is seen as that one says.

mod busy;
mod flip;
mod flips;
mod labelled;

use std::collections::BTreeMap;

use engine::cluster::How;
use engine::units::{Role, Split};
use serde_json::Value;

use super::api::Api;
use super::failure::Failure;
use super::object::{List, Meta, Pod};
use super::place::Place;
use super::units::groups;
use super::waits::Waits;
use super::{ATTEMPTS, KubeCall};
use crate::control::plane::{CallError, Member, MemberState, Plan, Topology, Unseen};
use crate::time::Micros;
use busy::Heard;
pub(super) use flip::Flip;
use futures_util::future::join_all;
use labelled::{Labelled, PodId};

/// The label.
pub(super) const ROLE: &str = "llm-d.ai/role";
/// How long routers may take to notice that a label is off.
const NOTICED: Micros = Micros(2_000_000);
/// How long a unit is given whose figures cannot be seen.
const BLIND: Micros = Micros(30_000_000);

/// The values of the label.
fn role_of(word: &str) -> Option<Role> {
    match word {
        "prefill" => Some(Role::Prefill),
        "decode" => Some(Role::Decode),
        // The latter is what it was called before.
        "prefill-decode" | "both" => Some(Role::Aggregated),
        _ => None,
    }
}

fn word_of(role: Role) -> &'static str {
    match role {
        Role::Prefill => "prefill",
        Role::Decode => "decode",
        Role::Aggregated => "prefill-decode",
    }
}

/// The units whose pods match a selector.
#[derive(Debug)]
pub(super) struct Labels {
    selector: String,
    units: Vec<Labelled>,
    /// Units whose label was taken off, by their names.
    leaving: BTreeMap<String, Leaving>,
    /// Whether the owners that were asked select their pods by the label.
    owners: BTreeMap<String, Option<String>>,
    waits: Waits,
}

#[derive(Debug)]
struct Leaving {
    role: Role,
    /// Since when its label is seen to be off.
    since: Option<Micros>,
    /// What its pods have told.
    heard: Heard,
    /// Since when they do not tell.
    blind: Option<Micros>,
    done: bool,
    /// It was put back.
    is_back: bool,
}

impl Leaving {
    fn of(role: Role) -> Self {
        Self { role, since: None, heard: Heard::default(), blind: None, done: false, is_back: false }
    }

    /// Takes in how many requests it holds, if that was told.
    fn hear(&mut self, told: Option<u64>, now: Micros) {
        let since = now.since(*self.since.get_or_insert(now));
        self.done = match told {
            Some(requests) => {
                self.blind = None;
                requests == 0 && since >= NOTICED
            }
            None => now.since(*self.blind.get_or_insert(now)) >= BLIND,
        };
    }
}

/// A pod whose label is to change.
#[derive(Clone, Copy, Debug)]
struct Attempt<'a> {
    flip: &'a Flip,
    pod: &'a PodId,
    /// It is only asked whether it could.
    rehearsed: bool,
    /// That of another pod of the unit has been changed, or was so already.
    is_begun: bool,
}

impl Labels {
    pub(super) fn new(selector: &str) -> Self {
        Self {
            selector: selector.to_owned(),
            units: Vec::new(),
            leaving: BTreeMap::new(),
            owners: BTreeMap::new(),
            waits: Waits::default(),
        }
    }

    pub(super) async fn observe(&mut self, api: &Api, now: Micros) -> Result<Topology, Unseen> {
        let list: List<Pod> = api.get(&Place::pods(&self.selector)).await?;
        self.units = groups(&list.items).iter().filter_map(|pods| Labelled::of(pods)).collect();
        let has_role = |unit: &Labelled| unit.role().or_else(|| unit.remains()).is_some();
        if !self.units.iter().any(has_role) && self.leaving.is_empty() {
            let namespace = api.namespace();
            return Err(Unseen::NotYet(format!(
                "no pod in namespace {namespace} with {} has a label {ROLE} with prefill, decode or prefill-decode ({} have none)",
                self.selector,
                self.units.iter().map(|unit| unit.pods.len()).sum::<usize>()
            )));
        }
        self.ask_owners(api).await?;
        self.drain(api, now).await;
        let wrong: Vec<_> = self.units.iter().filter_map(Labelled::told).collect();
        let troubles = self.waits.see(&wrong, now);
        Ok(Topology { members: self.members(), wanted: Some(self.wanted()), troubles, ..Topology::default() })
    }

    /// What the labels say, of units that stay.
    fn wanted(&self) -> Split {
        let stay = self.units.iter().filter(|unit| unit.state() != MemberState::Stopping);
        Split::of(stay.filter_map(Labelled::role))
    }

    fn members(&self) -> Vec<Member> {
        let member = |unit: &Labelled| {
            let (role, state) = match (unit.role(), self.leaving.get(unit.name())) {
                (Some(role), _) => (role, unit.state()),
                (None, Some(leaving)) if leaving.done => (leaving.role, MemberState::Out),
                (None, Some(leaving)) => (leaving.role, MemberState::Stopping),
                // Whoever took the label off the pod that leads it has not come any further.
                (None, None) => (unit.remains()?, MemberState::Out),
            };
            Some(unit.member(role, state))
        };
        self.units.iter().filter_map(member).collect()
    }

    /// Asks owners that are new whether they select by the label: such an owner would replace a pod that no longer has it.
    async fn ask_owners(&mut self, api: &Api) -> Result<(), Unseen> {
        for pod in self.units.iter().flat_map(|unit| &unit.pods) {
            let Some(owner) = &pod.owner else { continue };
            let whose = format!("{}/{}", owner.kind, owner.name);
            if self.owners.contains_key(&whose) {
                continue;
            }
            let place = match owner.kind.as_str() {
                "ReplicaSet" => Some("replicasets"),
                "StatefulSet" => Some("statefulsets"),
                _ => None,
            };
            let Some(plural) = place else {
                self.owners.insert(whose, None);
                continue;
            };
            let why = match api.get::<Value>(&Place::list("apps", "v1", plural).named(&owner.name)).await {
                Ok(object) if selects(&object) => {
                    Some(format!("{whose} selects its pods by {ROLE}: it would replace a pod whose label changes"))
                }
                Ok(_) | Err(Failure::Absent(_)) => None,
                Err(failure @ Failure::Forbidden(_)) => {
                    Some(format!("whether {whose} would replace a pod whose label changes cannot be seen: {failure}"))
                }
                Err(failure) => return Err(failure.into()),
            };
            self.owners.insert(whose, why);
        }
        Ok(())
    }

    /// Whether the units that were taken out hold anything yet.
    async fn drain(&mut self, api: &Api, now: Micros) {
        let units = &self.units;
        self.leaving.retain(|name, leaving| {
            // A label that nobody answered for may still go.
            let may_go = leaving.since.is_none() && !leaving.is_back;
            units.iter().any(|unit| unit.name() == name && (unit.word().is_none() || may_go))
        });
        let asked = self.leaving.iter_mut().filter(|(_, leaving)| !leaving.done).filter_map(|(name, leaving)| {
            let unit = units.iter().find(|unit| unit.name() == name && unit.is_bare())?;
            Some(async move {
                let told = leaving.heard.ask(api, &unit.pods).await;
                leaving.hear(told, now);
            })
        });
        join_all(asked).await;
    }

    pub(super) fn propose(&self, namespace: &str, to: Split, how: How) -> Result<Plan<KubeCall>, String> {
        let mut owners = self.units.iter().flat_map(|unit| &unit.pods).filter_map(|pod| pod.owner.as_ref());
        let replaces = owners.find_map(|owner| self.owners.get(&format!("{}/{}", owner.kind, owner.name))?.clone());
        match replaces {
            Some(why) => Err(why),
            None => flips::propose(namespace, &self.units, self.wanted(), to, how),
        }
    }

    /// Changes the label of a unit from what it is thought to be, pod by pod.
    pub(super) async fn apply(&mut self, api: &Api, flip: &Flip, rehearsed: bool) -> Result<(), CallError> {
        let mut is_begun = false;
        for pod in flip.in_order() {
            match self.change(api, Attempt { flip, pod, rehearsed, is_begun }).await {
                Ok(()) => is_begun = !rehearsed,
                Err(error @ CallError::Overtaken(_)) => return Err(error),
                Err(error) if is_begun => {
                    return Err(CallError::Partly(format!("{error}; other pods of {} have changed", flip.unit)));
                }
                // To wait until it is seen would be to wait for the others as well, which nobody has asked.
                Err(error @ CallError::Unclear(_)) if flip.pods.len() > 1 => {
                    return Err(CallError::Partly(error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Changes the label of one pod.
    async fn change(&mut self, api: &Api, attempt: Attempt<'_>) -> Result<(), CallError> {
        let mut conflict = String::new();
        for _ in 0..ATTEMPTS {
            match self.attempt(api, attempt).await? {
                None => return Ok(()),
                Some(why) => conflict = why,
            }
        }
        Err(CallError::NotYet(format!("{conflict} ({ATTEMPTS} times)")))
    }

    /// Reads the pod and changes its label; why not, where the pod has changed in between.
    async fn attempt(&mut self, api: &Api, attempt: Attempt<'_>) -> Result<Option<String>, CallError> {
        let Attempt { flip, pod, rehearsed, is_begun } = attempt;
        let place = Place::pod(&pod.name);
        let read: Value = api.get(&place).await.map_err(Failure::before_call)?;
        let meta = Meta::of(&read);
        let word = meta.labels.get(ROLE).map(String::as_str);
        if meta.uid != pod.uid {
            return Err(CallError::Refused(format!("pod {} was replaced by another one", pod.name)));
        }
        if word != flip.to.map(word_of) {
            if word != flip.from.as_deref() && !rehearsed {
                let now = word.map_or_else(|| "has none".to_owned(), |word| format!("is {word}"));
                return Err(CallError::Overtaken(format!(
                    "somebody else has changed {ROLE} of pod {}: it {now}",
                    pod.name
                )));
            }
            if flip.to.is_none() && !self.stands_in(flip) {
                return Err(CallError::Refused(format!("nobody serves who could stand in for pod {}", pod.name)));
            }
        }
        if !rehearsed
            && !is_begun
            && flip.to.is_none()
            && let Some(role) = flip.from.as_deref().and_then(role_of)
        {
            // Before the call: an answer that does not come must not keep a unit from being given its time.
            self.leaving.insert(flip.unit.clone(), Leaving::of(role));
        }
        if word == flip.to.map(word_of) {
            self.comes_back(attempt);
            return Ok(None);
        }
        let (how, body) = flip.change(pod, word, &meta.resource_version);
        let answer = match api.patch(&place, how, &body, rehearsed).await {
            Ok(()) => {
                self.comes_back(attempt);
                Ok(None)
            }
            Err(Failure::Conflict(why)) => Ok(Some(why)),
            Err(failure) => Err(failure.into_call_error()),
        };
        let is_untouched = matches!(answer, Ok(Some(_)) | Err(CallError::Refused(_) | CallError::NotYet(_)));
        if !rehearsed && !is_begun && flip.to.is_none() && is_untouched {
            self.leaving.remove(&flip.unit);
        }
        answer
    }

    /// The label of a pod is as it was to be. Where that puts a unit back, it leaves no more once that is seen.
    fn comes_back(&mut self, Attempt { flip, pod, rehearsed, .. }: Attempt<'_>) {
        if !rehearsed
            && flip.to.is_some()
            && flip.pods.first() == Some(pod)
            && let Some(leaving) = self.leaving.get_mut(&flip.unit)
        {
            leaving.is_back = true;
        }
    }

    /// Whether others serve in every role that a unit has.
    fn stands_in(&self, flip: &Flip) -> bool {
        let others = self.units.iter().filter(|unit| unit.name() != flip.unit && unit.state() == MemberState::Serving);
        let serving = Split::of(others.filter_map(Labelled::role));
        let covered = |role| serving.count(role) + serving.aggregated > 0;
        match flip.from.as_deref().and_then(role_of) {
            Some(Role::Aggregated) => covered(Role::Prefill) && covered(Role::Decode),
            Some(role) => covered(role),
            None => true,
        }
    }

    /// Something was changed that may end what is wrong.
    pub(super) fn restart(&mut self) {
        self.waits.restart();
    }
}

/// Whether an owner selects its pods by the label.
fn selects(owner: &Value) -> bool {
    let selector = owner.pointer("/spec/selector");
    selector.and_then(super::object::selector).is_some_and(|selector| selector.contains(ROLE))
}
