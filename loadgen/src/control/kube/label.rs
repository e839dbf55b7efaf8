//! Pods whose label says their role (llm-d's `llm-d.ai/role`): a unit changes its role where it is, without a restart, for engines
//! that can do both.
//!
//! A pod is taken out of routing by taking its label off, is given time to end what it holds, and is put back under the other
//! name. Where nobody could stand in for it meanwhile, its label is replaced at once.

mod busy;
mod flips;

use std::collections::BTreeMap;

use engine::cluster::How;
use engine::units::{Role, Split};
use serde_json::{Value, json};

use super::api::{Api, Patch};
use super::failure::Failure;
use super::object::{List, Meta, Owner, Pod};
use super::place::Place;
use super::units::{Unit, gpus_of, is_ready, named, units, whole};
use super::waits::Waits;
use super::{ATTEMPTS, KubeCall};
use crate::control::plane::{CallError, Member, MemberState, Plan, Topology};
use crate::time::Micros;
use busy::{Busy, busy};

/// The label.
pub(super) const ROLE: &str = "llm-d.ai/role";
/// How long routers may take to notice that a label is off.
const NOTICED: Micros = Micros(2_000_000);
/// How long a pod is given whose figures cannot be seen.
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

/// The pods of a selector.
#[derive(Debug)]
pub(super) struct Labels {
    selector: String,
    pods: Vec<Labelled>,
    /// Pods whose label was taken off, by their UID.
    leaving: BTreeMap<String, Leaving>,
    /// Whether the owners that were asked select their pods by the label.
    owners: BTreeMap<String, Option<String>>,
    waits: Waits,
}

/// A pod with a role, or on its way to one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labelled {
    /// As units are called.
    unit: String,
    name: String,
    uid: String,
    /// The label's value, as it stands.
    word: Option<String>,
    state: MemberState,
    gpus: BTreeMap<String, u64>,
    ports: Vec<u16>,
    owner: Option<Owner>,
}

#[derive(Debug)]
struct Leaving {
    role: Role,
    /// Since when its label is seen to be off.
    since: Option<Micros>,
    /// What it told last.
    busy: Busy,
    /// Since when it does not tell.
    blind: Option<Micros>,
    done: bool,
}

impl Leaving {
    fn of(role: Role) -> Self {
        Self { role, since: None, busy: Busy::Unknown, blind: None, done: false }
    }

    /// Takes in what the pod tells.
    fn hear(&mut self, told: Busy, now: Micros) {
        let since = now.since(*self.since.get_or_insert(now));
        self.done = match told {
            Busy::With(requests, _) => {
                (self.busy, self.blind) = (told, None);
                requests == 0 && since >= NOTICED
            }
            Busy::Unknown => now.since(*self.blind.get_or_insert(now)) >= BLIND,
        };
    }
}

impl Labelled {
    fn role(&self) -> Option<Role> {
        self.word.as_deref().and_then(role_of)
    }
}

impl Labels {
    pub(super) fn new(selector: &str) -> Self {
        Self {
            selector: selector.to_owned(),
            pods: Vec::new(),
            leaving: BTreeMap::new(),
            owners: BTreeMap::new(),
            waits: Waits::default(),
        }
    }

    pub(super) async fn observe(&mut self, api: &Api, now: Micros) -> Result<Topology, String> {
        let list: List<Pod> = api.get(&Place::pods(&self.selector)).await.map_err(|failure| failure.to_string())?;
        let pods: Vec<_> =
            list.items.iter().filter(|pod| !matches!(pod.status.phase.as_str(), "Succeeded" | "Failed")).collect();
        self.pods = pods.iter().map(|pod| labelled(pod)).collect();
        self.pods.sort_by(|one, other| one.name.cmp(&other.name));
        if !self.pods.iter().any(|pod| pod.role().is_some()) && self.leaving.is_empty() {
            let namespace = api.namespace();
            return Err(format!(
                "no pod in namespace {namespace} with {} has a label {ROLE} with prefill, decode or prefill-decode ({} have none)",
                self.selector,
                self.pods.len()
            ));
        }
        self.ask_owners(api).await?;
        self.drain(api, now).await;
        let wrong: Vec<_> = units(&list.items).iter().filter_map(Unit::told).collect();
        let troubles = self.waits.see(&wrong, now);
        Ok(Topology { members: self.members(), wanted: Some(self.wanted()), troubles, ..Topology::default() })
    }

    /// What the labels say, of pods that stay.
    fn wanted(&self) -> Split {
        let stay = self.pods.iter().filter(|pod| pod.state != MemberState::Stopping);
        Split::of(stay.filter_map(Labelled::role))
    }

    fn members(&self) -> Vec<Member> {
        let member = |pod: &Labelled| {
            let (role, state) = match (pod.role(), self.leaving.get(&pod.uid)) {
                (Some(role), _) => (role, pod.state),
                (None, Some(leaving)) if leaving.done => (leaving.role, MemberState::Out),
                (None, Some(leaving)) => (leaving.role, MemberState::Stopping),
                (None, None) => return None,
            };
            Some(Member::new(pod.unit.clone(), role, state).spanning(whole(&pod.gpus)))
        };
        self.pods.iter().filter_map(member).collect()
    }

    /// Asks owners that are new whether they select by the label: such an owner would replace a pod that no longer has it.
    async fn ask_owners(&mut self, api: &Api) -> Result<(), String> {
        for pod in &self.pods {
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
                Err(failure) => return Err(failure.to_string()),
            };
            self.owners.insert(whose, why);
        }
        Ok(())
    }

    /// Whether the pods that were taken out hold anything yet.
    async fn drain(&mut self, api: &Api, now: Micros) {
        let pods = &self.pods;
        // A label that nobody answered for may still go.
        self.leaving.retain(|uid, leaving| {
            pods.iter().any(|pod| pod.uid == *uid && (pod.word.is_none() || leaving.since.is_none()))
        });
        for pod in pods.iter().filter(|pod| pod.word.is_none()) {
            let Some(leaving) = self.leaving.get_mut(&pod.uid).filter(|leaving| !leaving.done) else { continue };
            let told = busy(api, &pod.name, &pod.ports, leaving.busy).await;
            leaving.hear(told, now);
        }
    }

    pub(super) fn propose(&self, namespace: &str, to: Split, how: How) -> Result<Plan<KubeCall>, String> {
        if let Some(why) = self.pods.iter().find_map(|pod| {
            let owner = pod.owner.as_ref()?;
            self.owners.get(&format!("{}/{}", owner.kind, owner.name))?.clone()
        }) {
            return Err(why);
        }
        flips::propose(namespace, &self.pods, self.wanted(), to, how)
    }

    /// Changes a label from what it is thought to be.
    pub(super) async fn apply(&mut self, api: &Api, flip: &Flip, rehearsed: bool) -> Result<(), CallError> {
        let mut conflict = String::new();
        for _ in 0..ATTEMPTS {
            match self.attempt(api, flip, rehearsed).await? {
                None => return Ok(()),
                Some(why) => conflict = why,
            }
        }
        Err(CallError::NotYet(format!("{conflict} ({ATTEMPTS} times)")))
    }

    /// Reads the pod and changes its label; why not, where the pod has changed in between.
    async fn attempt(&mut self, api: &Api, flip: &Flip, rehearsed: bool) -> Result<Option<String>, CallError> {
        let place = Place::pod(&flip.pod);
        let pod: Value = api.get(&place).await.map_err(Failure::before_call)?;
        let meta = Meta::of(&pod);
        let word = meta.labels.get(ROLE).map(String::as_str);
        if meta.uid != flip.uid {
            return Err(CallError::Refused(format!("pod {} was replaced by another one", flip.pod)));
        }
        if word != flip.to.map(word_of) {
            if word != flip.from.as_deref() && !rehearsed {
                let now = word.map_or_else(|| "has none".to_owned(), |word| format!("is {word}"));
                return Err(CallError::Refused(format!(
                    "somebody else has changed {ROLE} of pod {}: it {now}",
                    flip.pod
                )));
            }
            if flip.to.is_none() && !self.stands_in(flip) {
                return Err(CallError::Refused(format!("nobody serves who could stand in for pod {}", flip.pod)));
            }
        }
        let so_already = word == flip.to.map(word_of);
        if !rehearsed {
            match (flip.to, flip.from.as_deref().and_then(role_of)) {
                // Before the call: an answer that does not come must not keep a pod from being given its time.
                (None, Some(role)) => drop(self.leaving.insert(flip.uid.clone(), Leaving::of(role))),
                (Some(_), _) if so_already => drop(self.leaving.remove(&flip.uid)),
                _ => {}
            }
        }
        if so_already {
            return Ok(None);
        }
        let (how, body) = flip.change(word, &meta.resource_version);
        let answer = match api.patch(&place, how, &body, rehearsed).await {
            Ok(()) => Ok(None),
            Err(Failure::Conflict(why)) => Ok(Some(why)),
            Err(failure) => Err(failure.into_call_error()),
        };
        let is_untouched = matches!(answer, Ok(Some(_)) | Err(CallError::Refused(_) | CallError::NotYet(_)));
        if !rehearsed && flip.to.is_none() && is_untouched {
            self.leaving.remove(&flip.uid);
        }
        answer
    }

    /// Whether others serve in every role that a pod has.
    fn stands_in(&self, flip: &Flip) -> bool {
        let others = self.pods.iter().filter(|pod| pod.uid != flip.uid && pod.state == MemberState::Serving);
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

/// A change of a pod's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flip {
    pub(super) pod: String,
    pub(super) uid: String,
    /// The value that it has, if it has one.
    pub(super) from: Option<String>,
    /// `None` takes it off.
    pub(super) to: Option<Role>,
}

impl Flip {
    /// The call that changes what is `word` now. Where somebody else was quicker, it fails: a label that is not there cannot be tested
    /// for, so then the pod as a whole is to be as it was read.
    fn change(&self, word: Option<&str>, version: &str) -> (Patch, Value) {
        match (word, self.to) {
            (None, Some(role)) => {
                let labels = json!({ ROLE: word_of(role) });
                (Patch::Merge, json!({ "metadata": { "resourceVersion": version, "labels": labels } }))
            }
            _ => (Patch::Json, self.operations(word)),
        }
    }

    fn operations(&self, word: Option<&str>) -> Value {
        let path = format!("/metadata/labels/{}", ROLE.replace('/', "~1"));
        let mut operations = vec![json!({"op": "test", "path": "/metadata/uid", "value": self.uid})];
        operations.extend(word.map(|word| json!({"op": "test", "path": path, "value": word})));
        operations.push(match self.to {
            Some(role) => json!({"op": "add", "path": path, "value": word_of(role)}),
            None => json!({"op": "remove", "path": path}),
        });
        Value::Array(operations)
    }

    pub(super) fn says(&self, namespace: &str) -> String {
        let was = self.from.as_deref().map_or_else(|| "none".to_owned(), str::to_owned);
        let becomes = self.to.map_or("none", word_of);
        format!("PATCH {} label {ROLE} {was} -> {becomes}", Place::pod(&self.pod).path(namespace))
    }
}

fn labelled(pod: &Pod) -> Labelled {
    let state = if pod.metadata.deletion_timestamp.is_some() {
        MemberState::Stopping
    } else if is_ready(pod) {
        MemberState::Serving
    } else {
        MemberState::Starting
    };
    Labelled {
        unit: named(pod),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        word: pod.metadata.labels.get(ROLE).cloned(),
        state,
        gpus: gpus_of(&pod.spec),
        ports: pod
            .spec
            .containers
            .iter()
            .flat_map(|container| &container.ports)
            .map(|port| port.container_port)
            .collect(),
        owner: pod.metadata.controller().cloned(),
    }
}

/// Whether an owner selects its pods by the label.
fn selects(owner: &Value) -> bool {
    let selector = owner.pointer("/spec/selector");
    selector.and_then(super::object::selector).is_some_and(|selector| selector.contains(ROLE))
}
