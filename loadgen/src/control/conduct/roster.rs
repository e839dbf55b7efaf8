//! The members of a control plane as units that stay: a place for each, which whoever comes after it takes.
//!
//! Where a role is changed by ending one process and starting another, the GPU stays and so does the unit: the new process takes
//! the place of the one that has gone, and the unit is seen to drain, to switch, to warm up and to serve.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::cluster::{How, UnitState};
use engine::units::{Role, Split, UnitId};

use crate::control::plane::{MemberState, Topology};
use crate::live::UnitView;
use crate::target::{ClusterView, TargetEvent};
use crate::time::Micros;

#[derive(Clone, Debug, PartialEq)]
struct Place {
    /// Who is there, or was last.
    name: String,
    /// Whether it still is.
    taken: bool,
    role: Role,
    state: UnitState,
    since: Micros,
}

/// Every place there has been.
#[derive(Clone, Debug, Default)]
pub(super) struct Roster {
    places: Vec<Place>,
    names: UnitNames,
}

/// Names beyond which those of members that have gone are forgotten.
const NAMES: usize = 1024;

/// Which unit is meant by a name. A member that has gone is still known: answers that it gave may come later.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct UnitNames(Arc<BTreeMap<String, UnitId>>);

impl UnitNames {
    /// By the name of the member itself, by what answers call it, or by the address in its URL.
    pub(in crate::control) fn find(&self, name: &str) -> Option<UnitId> {
        self.0.get(name).copied()
    }

    fn add(&mut self, name: &str, unit: UnitId) {
        if self.find(name) != Some(unit) {
            Arc::make_mut(&mut self.0).insert(name.to_owned(), unit);
        }
    }

    /// Forgets all but these.
    fn keep(&mut self, names: &BTreeSet<&str>) {
        // Whoever looks at them keeps what he has: a copy is made where something goes, and not otherwise.
        if self.0.len() > names.len() {
            Arc::make_mut(&mut self.0).retain(|name, _| names.contains(name.as_str()));
        }
    }
}

impl Roster {
    /// Takes in who is there, and tells what has changed. A place that was left by who `moves` waits for whoever comes; who else
    /// has left is lost.
    pub(super) fn see(&mut self, topology: &Topology, moves: impl Fn(&str) -> bool, now: Micros) -> Vec<TargetEvent> {
        let mut events = Vec::new();
        for at in 0..self.places.len() {
            let place = &mut self.places[at];
            if !place.taken || topology.member(&place.name).is_some() {
                continue;
            }
            place.taken = false;
            let leaving = matches!(place.state, UnitState::Draining { .. });
            let (name, role) = (place.name.clone(), place.role);
            if moves(&name) {
                self.set(at, role, UnitState::Switching, now, &mut events);
            } else {
                self.set(at, role, UnitState::Failed, now, &mut events);
                let how = if leaving { "was stopped" } else { "is gone" };
                events.push(TargetEvent::UnitLost { at: now, unit: unit(at), why: format!("{name} {how}") });
            }
        }
        for member in &topology.members {
            let state = match member.state {
                MemberState::Starting => UnitState::Warming,
                MemberState::Serving => UnitState::Serving,
                // How much it holds is nobody's to see.
                MemberState::Stopping => UnitState::Draining { left: 0 },
                MemberState::Out if moves(&member.name) => UnitState::Switching,
                MemberState::Out => UnitState::Failed,
            };
            let place = self.places.iter().position(|place| place.taken && place.name == member.name);
            let at = place.unwrap_or_else(|| self.settle(&member.name, member.role, now));
            self.set(at, member.role, state, now, &mut events);
            self.names.add(&member.name, unit(at));
            if let Some(address) = address(&member.name) {
                self.names.add(address, unit(at));
            }
        }
        for (called, name) in &topology.called {
            if let Some(unit) = self.names.find(name) {
                self.names.add(called, unit);
            }
        }
        if self.names.0.len() > NAMES {
            let named = topology.members.iter().map(|member| member.name.as_str());
            let addresses = topology.members.iter().filter_map(|member| address(&member.name));
            self.names.keep(&named.chain(addresses).chain(topology.called.keys().map(String::as_str)).collect());
        }
        events
    }

    /// Who is who.
    pub(super) fn names(&self) -> UnitNames {
        self.names.clone()
    }

    /// A shift is over: a place that nobody has taken is none any more, and who was left out of service is lost.
    pub(super) fn close(&mut self, now: Micros) -> Vec<TargetEvent> {
        let mut events = Vec::new();
        for at in 0..self.places.len() {
            let Place { state: UnitState::Switching, role, taken, .. } = self.places[at] else { continue };
            self.set(at, role, UnitState::Failed, now, &mut events);
            if taken {
                let why = format!("{} was left out of service", self.places[at].name);
                events.push(TargetEvent::UnitLost { at: now, unit: unit(at), why });
            }
        }
        events
    }

    /// Places whose members have gone.
    pub(super) fn vacated(&self) -> Vec<UnitId> {
        let places = self.places.iter().enumerate();
        places.filter(|(_, place)| !place.taken).map(|(at, _)| unit(at)).collect()
    }

    /// Its own place where it had one, else the first that is free, else a new one.
    fn settle(&mut self, name: &str, role: Role, now: Micros) -> usize {
        let own = self.places.iter().position(|place| !place.taken && place.name == name);
        let free = own.or_else(|| self.places.iter().position(|place| !place.taken));
        let at = free.unwrap_or_else(|| {
            let (name, state) = (String::new(), UnitState::Switching);
            self.places.push(Place { name, taken: false, role, state, since: now });
            self.places.len() - 1
        });
        (self.places[at].name, self.places[at].taken) = (name.to_owned(), true);
        at
    }

    fn set(&mut self, at: usize, role: Role, state: UnitState, now: Micros, events: &mut Vec<TargetEvent>) {
        let place = &mut self.places[at];
        if place.role == role && place.state == state {
            return;
        }
        (place.role, place.state, place.since) = (role, state, now);
        events.push(TargetEvent::Unit { at: now, unit: unit(at), role, state, held: 0 });
    }

    /// As the run sees it. What its units compute is not told by a control plane.
    pub(super) fn view(&self, waiting: Vec<(Split, How)>, now: Micros) -> ClusterView {
        let here = self.places.iter().filter(|place| place.state != UnitState::Failed);
        let units = self.places.iter().enumerate().map(|(at, place)| UnitView {
            unit: unit(at),
            role: place.role,
            state: place.state,
            in_state: now.since(place.since),
            measured: false,
            busy: 0.0,
            queue: 0,
            running: 0,
            handing_off: 0,
            kv_used: 0.0,
            kv_cached: 0.0,
            input_tps: 0.0,
            output_tps: 0.0,
        });
        ClusterView { split: Split::of(here.map(|place| place.role)), units: units.collect(), waiting_shifts: waiting }
    }
}

/// What a name that is a URL has behind its scheme.
fn address(name: &str) -> Option<&str> {
    name.split_once("://").map(|(_, address)| address.trim_end_matches('/'))
}

fn unit(at: usize) -> UnitId {
    UnitId(u16::try_from(at).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::plane::Member;

    fn seen(names: impl Iterator<Item = String>) -> Topology {
        let members = names.map(|name| Member::new(name, Role::Decode, MemberState::Serving)).collect();
        Topology { members, ..Topology::default() }
    }

    #[test]
    fn whoever_is_there_keeps_its_name_however_many_have_gone() {
        let mut roster = Roster::default();
        // Two stay; others come, each in the place of the one before.
        for other in 0..NAMES {
            let stay = ["http://a:1".to_owned(), "b".to_owned()];
            let mut topology = seen(stay.into_iter().chain([format!("other-{other}")]));
            topology.called.insert("77".to_owned(), "b".to_owned());
            roster.see(&topology, |_| true, Micros::ZERO);
            let names = roster.names();
            let found = ["http://a:1", "a:1", "b", "77", &format!("other-{other}")].map(|name| names.find(name));
            assert_eq!(found, [0, 0, 1, 1, 2].map(|unit| Some(UnitId(unit))), "{other}");
            assert!(names.0.len() <= NAMES, "{}", names.0.len());
            assert!(other == 0 || other > 1000 || names.find(&format!("other-{}", other - 1)).is_some(), "{other}");
        }
    }
}
