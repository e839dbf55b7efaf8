//! Pods as units: which belong together, what they do, what they take and what is wrong with them.

use std::collections::BTreeMap;

use engine::remote::one_line;
use engine::units::Role;

use super::object::{Pod, PodSpec};
use crate::control::plane::{Member, MemberState, Trouble};

/// Labels that say which pods of a unit that spans several nodes belong together. Where that is a number, it is one of the object
/// that the second label names, and others count from nought, too.
const GROUPS: [(&str, Option<&str>); 4] = [
    ("leaderworkerset.sigs.k8s.io/group-index", Some("leaderworkerset.sigs.k8s.io/name")),
    ("rbg.workloads.x-k8s.io/role-instance-name", None),
    ("grove.io/podcliquescalinggroup-replica-index", Some("grove.io/podcliquescalinggroup")),
    ("stormservice.orchestration.aibrix.ai/podset-name", None),
];
/// The annotation that says of how many pods a unit consists, where something says so.
const SIZE: &str = "leaderworkerset.sigs.k8s.io/size";
/// What counts as a GPU.
const GPUS: [&str; 2] = ["nvidia.com/gpu", "amd.com/gpu"];
/// Why a container waits when it will hardly come up.
const HOPELESS: [&str; 7] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// A pod, or the pods of several nodes that are one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// Its first pod, with the beginning of its UID: a StatefulSet gives the name of a pod that has gone to the next.
    pub(super) name: String,
    pub(super) state: MemberState,
    /// How many GPUs of which make its pods take.
    pub(super) gpus: BTreeMap<String, u64>,
    /// How long its pods have to end what they hold.
    pub(super) grace_s: Option<u64>,
    /// What is wrong with one of its pods.
    pub(super) trouble: Option<String>,
}

impl Unit {
    pub(super) fn member(&self, role: Role) -> Member {
        Member::new(self.name.clone(), role, self.state).spanning(whole(&self.gpus))
    }

    /// What is wrong with it.
    pub(super) fn told(&self) -> Option<Trouble> {
        Some(Trouble::of_member(&self.name, self.trouble.as_deref()?))
    }
}

/// GPUs of all makes together; `None` where there are none, as on a cluster that has none.
pub(super) fn whole(gpus: &BTreeMap<String, u64>) -> Option<u32> {
    u32::try_from(gpus.values().sum::<u64>()).ok().filter(|gpus| *gpus > 0)
}

/// The units that pods make up.
pub(super) fn units(pods: &[Pod]) -> Vec<Unit> {
    groups(pods).iter().filter_map(|pods| unit(pods)).collect()
}

/// Pods by the units that they make up, in the order of their names. Pods that have ended, such as those that were evicted, are
/// none any more.
///
/// The first of a unit leads it: it is the one that takes requests, where not all of them do. `d-0` comes before `d-0-1`,
/// `…-leader-0` before `…-worker-0`, and `…-ldr-…` before `…-wkr-…`.
pub(super) fn groups(pods: &[Pod]) -> Vec<Vec<&Pod>> {
    let mut groups: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !matches!(pod.status.phase.as_str(), "Succeeded" | "Failed")) {
        groups.entry(group(pod)).or_default().push(pod);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    for pods in &mut groups {
        pods.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    }
    groups.sort_by(|one, other| leader(one).cmp(&leader(other)));
    groups
}

fn leader<'a>(pods: &[&'a Pod]) -> Option<&'a str> {
    Some(pods.first()?.metadata.name.as_str())
}

/// What the pods of a unit have in common, and no others.
fn group(pod: &Pod) -> String {
    let value = |label: &str| pod.metadata.labels.get(label);
    let known = GROUPS.iter().find_map(|(label, of)| {
        let whose = of.and_then(value).map_or("", String::as_str);
        Some(format!("{label}={}/{whose}", value(label)?))
    });
    known.unwrap_or_else(|| format!("pod={}", pod.metadata.uid))
}

/// The unit that these pods are.
pub(super) fn unit(pods: &[&Pod]) -> Option<Unit> {
    let first = pods.first()?;
    let size = pods.iter().find_map(|pod| pod.metadata.annotations.get(SIZE)?.parse::<usize>().ok());
    let whole = size.is_none_or(|size| pods.len() >= size);
    let state = match state(pods) {
        MemberState::Serving if !whole => MemberState::Starting,
        state => state,
    };
    let mut gpus = BTreeMap::new();
    for pod in pods {
        for (what, amount) in gpus_of(&pod.spec) {
            *gpus.entry(what).or_default() += amount;
        }
    }
    Some(Unit {
        name: named(first),
        state,
        gpus,
        grace_s: pods.iter().filter_map(|pod| pod.spec.termination_grace_period_seconds).min(),
        trouble: pods.iter().find_map(|pod| trouble(pod)),
    })
}

/// What pods do together, if they are all that there are.
pub(super) fn state(pods: &[&Pod]) -> MemberState {
    if pods.iter().any(|pod| pod.metadata.deletion_timestamp.is_some()) {
        MemberState::Stopping
    } else if pods.iter().all(|pod| is_ready(pod)) {
        MemberState::Serving
    } else {
        MemberState::Starting
    }
}

/// The name of a pod, never to be that of another.
fn named(pod: &Pod) -> String {
    let meta = &pod.metadata;
    let uid: String = meta.uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    one_line(&if uid.is_empty() { meta.name.clone() } else { format!("{}#{uid}", meta.name) })
}

fn is_ready(pod: &Pod) -> bool {
    pod.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
}

/// The GPUs that the containers of a pod ask for. What is asked for is what is limited, for such resources.
pub(super) fn gpus_of(spec: &PodSpec) -> BTreeMap<String, u64> {
    let mut gpus = BTreeMap::new();
    for container in &spec.containers {
        for what in GPUS {
            let resources = &container.resources;
            let amount = resources.limits.get(what).or_else(|| resources.requests.get(what));
            let amount = amount.and_then(|told| told.as_u64().or_else(|| told.as_str()?.parse().ok())).unwrap_or(0);
            if amount > 0 {
                *gpus.entry(what.to_owned()).or_default() += amount;
            }
        }
    }
    gpus
}

/// What keeps a pod from coming up.
fn trouble(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() || is_ready(pod) {
        return None;
    }
    let name = &pod.metadata.name;
    let nowhere = pod.status.conditions.iter().find(|condition| {
        condition.kind == "PodScheduled" && condition.status == "False" && condition.reason == "Unschedulable"
    });
    if let Some(nowhere) = nowhere {
        return Some(one_line(&format!("pod {name} finds no node: {}", nowhere.message)));
    }
    let mut waits = pod.status.container_statuses.iter().filter_map(|status| status.state.waiting.as_ref());
    let hopeless = waits.find(|waiting| HOPELESS.contains(&waiting.reason.as_str()))?;
    Some(one_line(&format!("pod {name} does not come up: {} {}", hopeless.reason, hopeless.message)))
}
