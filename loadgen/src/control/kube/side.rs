//! The units of one role, as the objects of a cluster tell of them.

use std::collections::BTreeMap;

use engine::remote::one_line;
use engine::units::Role;
use serde::Deserialize;
use serde_json::Value;

use super::lever::Lever;
use super::object::{Meta, Owner, PodSpec, conditions};
use super::units::{Unit, gpus_of, whole};
use crate::control::plane::{Member, MemberState};

/// The units of a role.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) role: Role,
    /// As it would be named in an address.
    pub(super) name: String,
    pub(super) lever: Lever,
    /// How many units are worked towards.
    pub(super) wanted: u32,
    /// How many there are and how many are ready, where the object tells.
    pub(super) counts: Counts,
    /// Which pods are its.
    pub(super) selector: Option<String>,
    /// The objects whose scale an autoscaler would change.
    pub(super) targets: Vec<Scaled>,
    /// The generation of the object, and the last that its controller has seen.
    pub(super) generation: (u64, Option<u64>),
    /// Whom the object belongs to.
    pub(super) owner: Option<Owner>,
    /// Who has last set the number.
    pub(super) manager: Option<String>,
    /// What a unit takes by its template, for as long as there is no pod.
    pub(super) template: BTreeMap<String, u64>,
    /// Why the object's controller gets no further.
    pub(super) trouble: Option<String>,
    /// What the object itself has beside its units that would change their number.
    pub(super) rival: Option<String>,
    /// Its units; `None` where pods may not be looked at.
    pub(super) units: Option<Vec<Unit>>,
}

/// What an autoscaler aims at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scaled {
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// Which of its roles, of an object that has several.
    pub(super) part: Option<String>,
}

/// Numbers that an object tells of its replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) replicas: u32,
    pub(super) ready: u32,
}

impl Side {
    /// Of `object`, whose number `lever` reads; `default` where it is not told.
    pub(super) fn new(role: Role, name: String, lever: Lever, object: &Value, default: u32) -> Self {
        let meta = Meta::of(object);
        Self {
            role,
            name,
            wanted: lever.read(object).unwrap_or(default),
            manager: lever.manager(object),
            lever,
            counts: Counts::default(),
            selector: None,
            targets: Vec::new(),
            generation: (meta.generation, object.pointer("/status/observedGeneration").and_then(Value::as_u64)),
            owner: meta.controller().cloned(),
            template: BTreeMap::new(),
            trouble: trouble(object),
            rival: None,
            units: None,
        }
    }

    /// How long a unit that stops has to end what it holds.
    pub(super) fn grace_s(&self) -> Option<u64> {
        self.units.iter().flatten().filter_map(|unit| unit.grace_s).min()
    }

    fn is_behind(&self) -> bool {
        let (generation, observed) = self.generation;
        observed.is_some_and(|observed| observed < generation)
    }

    /// Its units as members: those seen, else so many as are told of.
    pub(super) fn members(&self) -> Vec<Member> {
        if let Some(units) = &self.units {
            return units.iter().map(|unit| unit.member(self.role)).collect();
        }
        let Counts { replicas, ready } = self.counts;
        // What a controller tells that has not seen the last change yet is of before.
        let ready = if self.is_behind() { 0 } else { ready };
        let member = |at: u32| {
            let state = if at < ready { MemberState::Serving } else { MemberState::Starting };
            Member::new(format!("{} {}", self.name, at + 1), self.role, state).spanning(whole(&self.template))
        };
        (0..replicas.max(ready)).map(member).collect()
    }
}

/// What a controller says when it gets no further.
fn trouble(object: &Value) -> Option<String> {
    let told = conditions(object);
    let failed = told.iter().find(|condition| match condition.kind.as_str() {
        // A quota, mostly.
        "ReplicaFailure" => condition.status == "True",
        "Progressing" => condition.status == "False" && condition.reason == "ProgressDeadlineExceeded",
        _ => false,
    })?;
    let name = Meta::of(object).name;
    Some(one_line(&format!("{name} does not get its pods: {} {}", failed.reason, failed.message)))
}

/// The GPUs of a unit of `pods` pods by the `spec` of a template.
pub(super) fn template(spec: Option<&Value>, pods: u64) -> BTreeMap<String, u64> {
    let spec = spec.and_then(|spec| PodSpec::deserialize(spec).ok()).unwrap_or_default();
    gpus_of(&spec).into_iter().map(|(what, amount)| (what, amount * pods)).collect()
}
