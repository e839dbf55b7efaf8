//! Units whose pods carry the label: a pod, or those of several nodes that are one engine.

use engine::units::Role;

use super::{ROLE, role_of};
use crate::control::kube::object::{Owner, Pod};
use crate::control::kube::units::{Unit, state, unit};
use crate::control::plane::{Member, MemberState, Trouble};

/// A unit with a role, or on its way to one.
///
/// Its role is what the pod that leads it says, since that is the one that routers send requests to. The others may carry the label,
/// too, as all pods of one template do, or not, as where the template of the one that leads has it alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labelled {
    pub(super) unit: Unit,
    /// Beginning with the one that leads.
    pub(super) pods: Vec<Carrier>,
}

/// A pod that may carry the label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Carrier {
    pub(super) id: PodId,
    /// The label's value, as it stands.
    pub(super) word: Option<String>,
    pub(super) ports: Vec<u16>,
    pub(super) owner: Option<Owner>,
}

/// Which pod: another may have its name some day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PodId {
    pub(super) name: String,
    pub(super) uid: String,
}

impl Labelled {
    /// The unit that these pods are, beginning with the one that leads.
    pub(super) fn of(pods: &[&Pod]) -> Option<Self> {
        let mut unit = unit(pods)?;
        // The selector may be for those that lead alone: then of the rest nothing is known.
        if pods.len() == 1 {
            unit.state = state(pods);
        }
        Some(Self { unit, pods: pods.iter().map(|pod| Carrier::of(pod)).collect() })
    }

    pub(super) fn name(&self) -> &str {
        &self.unit.name
    }

    /// The pod that leads it.
    pub(super) fn leads(&self) -> &str {
        self.pods.first().map_or("", |pod| &pod.id.name)
    }

    /// What the pod that leads it carries.
    pub(super) fn word(&self) -> Option<&str> {
        self.pods.first()?.word.as_deref()
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.word().and_then(role_of)
    }

    /// Whether nobody carries the label.
    pub(super) fn is_bare(&self) -> bool {
        self.pods.iter().all(|pod| pod.word.is_none())
    }

    /// Of a unit whose leading pod has lost its label, the role that others still say.
    pub(super) fn remains(&self) -> Option<Role> {
        let mut others = self.pods.iter().filter_map(|pod| pod.word.as_deref());
        if self.word().is_none() { others.find_map(role_of) } else { None }
    }

    /// How the pods contradict the one that leads, if any does.
    pub(super) fn odds(&self) -> Option<String> {
        let leads = self.pods.first()?;
        let other = self.pods.iter().find(|pod| pod.word.is_some() && pod.word != leads.word)?;
        let told = |pod: &Carrier| {
            let word = pod.word.as_ref().map_or_else(|| format!("no {ROLE}"), |word| format!("{ROLE} {word}"));
            format!("{} has {word}", pod.id.name)
        };
        Some(format!("the pods of one unit contradict each other: {}, and {}", told(leads), told(other)))
    }

    /// What it does: as long as its pods contradict each other, it is not whole.
    pub(super) fn state(&self) -> MemberState {
        match self.unit.state {
            MemberState::Serving if self.odds().is_some() => MemberState::Starting,
            state => state,
        }
    }

    pub(super) fn member(&self, role: Role, state: MemberState) -> Member {
        Member { state, ..self.unit.member(role) }
    }

    /// What is wrong with it.
    pub(super) fn told(&self) -> Option<Trouble> {
        self.unit.told().or_else(|| Some(Trouble::of_member(self.name(), self.odds()?)))
    }

    /// The pods that carry the label, and are to carry another.
    pub(super) fn carriers(&self) -> Vec<PodId> {
        self.pods.iter().filter(|pod| pod.word.is_some()).map(|pod| pod.id.clone()).collect()
    }
}

impl Carrier {
    fn of(pod: &Pod) -> Self {
        let ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
        Self {
            id: PodId { name: pod.metadata.name.clone(), uid: pod.metadata.uid.clone() },
            word: pod.metadata.labels.get(ROLE).cloned(),
            ports: ports.map(|port| port.container_port).collect(),
            owner: pod.metadata.controller().cloned(),
        }
    }
}
