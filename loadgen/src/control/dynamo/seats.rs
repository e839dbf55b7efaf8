//! Which registered worker is which of our processes: the pure part.
//!
//! A registration tells a number and a role, and a process tells neither of its number. So a number that is new belongs to the
//! process of that role that has waited for its own the longest. Of two that came up together the wrong one may be taken: it shows
//! when one of them is ended and the number of the other goes. Then the two processes change their seats, and names stay with the
//! numbers: what was told of requests, which know numbers alone, stays true.

use std::collections::{BTreeMap, BTreeSet};

use engine::units::Role;

use super::instances::Instance;
use crate::control::plane::{Member, MemberState, Topology};

/// What a process of ours does, as far as the system tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// It runs.
    Up,
    /// It was asked to end.
    Asked,
    /// It has ended.
    Ended,
}

/// A process of ours and its registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    /// The process that is taken to sit here.
    pub(super) n: u32,
    /// In its name.
    label: u32,
    pub(super) role: Role,
    pub(super) life: Life,
    /// Its registration, as long as it is known.
    instance: Option<u64>,
}

impl Seat {
    /// What it is called, whoever sits there.
    pub(super) fn name(&self) -> String {
        format!("{}-{}", self.role, self.label)
    }

    /// Whether it has ever registered.
    pub(super) fn has_registered(&self) -> bool {
        self.instance.is_some()
    }
}

/// All processes of ours that are not over, and the workers of others.
#[derive(Clone, Debug, Default)]
pub(super) struct Seats {
    pub(super) all: Vec<Seat>,
    present: BTreeSet<Instance>,
    /// Of others.
    foreign: BTreeSet<Instance>,
}

impl Seats {
    /// A process was started.
    pub(super) fn take(&mut self, n: u32, role: Role) {
        self.all.push(Seat { n, label: n, role, life: Life::Up, instance: None });
    }

    /// Those who run and were not asked to end, the last started one last.
    pub(super) fn up(&self, role: Role) -> impl DoubleEndedIterator<Item = &Seat> {
        self.all.iter().filter(move |seat| seat.role == role && seat.life == Life::Up)
    }

    /// Who of `role` is ended first: whoever does not serve, else who was started last.
    pub(super) fn first_to_go(&self, role: Role) -> Option<&Seat> {
        let idle = self.up(role).rev().find(|seat| !self.is_there(seat));
        idle.or_else(|| self.up(role).next_back())
    }

    /// Whether somebody of `role` would serve without this one.
    pub(super) fn stands_in(&self, seat: &Seat) -> bool {
        let mut others = self.up(seat.role).filter(|other| other.n != seat.n && self.is_there(other));
        self.foreign(seat.role) > 0 || others.next().is_some()
    }

    /// How many workers of others have `role`.
    pub(super) fn foreign(&self, role: Role) -> usize {
        self.present.iter().filter(|instance| instance.role == role && self.foreign.contains(instance)).count()
    }

    /// These are registered now. A process that has ended is forgotten once its registration has gone, too.
    pub(super) fn see(&mut self, instances: &[Instance]) {
        self.present = instances.iter().copied().collect();
        self.foreign.retain(|instance| instances.contains(instance));
        for at in 0..self.all.len() {
            if self.all[at].life == Life::Up && self.is_gone(&self.all[at]) {
                let role = self.all[at].role;
                let other = |seat: &Seat| seat.role == role && seat.life != Life::Up && self.is_there(seat);
                if let Some(other) = self.all.iter().position(other) {
                    let [here, there] = [at, other].map(|seat| (self.all[seat].n, self.all[seat].life));
                    (self.all[at].n, self.all[at].life) = there;
                    (self.all[other].n, self.all[other].life) = here;
                }
            }
        }
        for instance in instances {
            let known = self.foreign.contains(instance)
                || self.all.iter().any(|seat| seat.role == instance.role && seat.instance == Some(instance.id));
            if known {
                continue;
            }
            let waits =
                |seat: &&mut Seat| seat.role == instance.role && seat.life == Life::Up && seat.instance.is_none();
            match self.all.iter_mut().find(waits) {
                Some(seat) => seat.instance = Some(instance.id),
                None => {
                    self.foreign.insert(*instance);
                }
            }
        }
        let over: Vec<u32> = self
            .all
            .iter()
            .filter(|seat| seat.life == Life::Ended && !self.is_there(seat))
            .map(|seat| seat.n)
            .collect();
        self.all.retain(|seat| !over.contains(&seat.n));
    }

    fn is_there(&self, seat: &Seat) -> bool {
        seat.instance.is_some_and(|id| self.present.contains(&Instance { id, role: seat.role }))
    }

    fn is_gone(&self, seat: &Seat) -> bool {
        seat.instance.is_some() && !self.is_there(seat)
    }

    /// What there is, as every control plane tells it. Ours are called by their own names, and by their numbers in answers.
    pub(super) fn topology(&self) -> Topology {
        let state = |seat: &Seat| match seat.life {
            Life::Up if seat.instance.is_none() => MemberState::Starting,
            Life::Up if self.is_there(seat) => MemberState::Serving,
            // Takes nothing new any more, whoever has told it so.
            Life::Up | Life::Asked | Life::Ended => MemberState::Stopping,
        };
        let ours = self.all.iter().map(|seat| Member::new(seat.name(), seat.role, state(seat)));
        let others = self.present.iter().filter(|instance| self.foreign.contains(instance));
        let others = others.map(|other| Member::new(other.id.to_string(), other.role, MemberState::Serving));
        let called = self.all.iter().filter_map(|seat| Some((seat.instance?.to_string(), seat.name())));
        Topology {
            members: ours.chain(others).collect(),
            called: called.collect::<BTreeMap<_, _>>(),
            ..Topology::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: u64, role: Role) -> Instance {
        Instance { id, role }
    }

    fn told(seats: &Seats) -> Vec<String> {
        let told = |member: Member| format!("{} {:?}", member.name, member.state);
        seats.topology().members.into_iter().map(told).collect()
    }

    #[test]
    fn a_process_starts_registers_drains_and_is_over_once_both_have_gone() {
        let mut seats = Seats::default();
        seats.see(&[instance(7, Role::Decode)]);
        assert_eq!(told(&seats), ["7 Serving"], "somebody else's");
        seats.take(1, Role::Decode);
        seats.see(&[instance(7, Role::Decode)]);
        assert_eq!(told(&seats), ["decode-1 Starting", "7 Serving"]);
        seats.see(&[instance(7, Role::Decode), instance(8, Role::Decode)]);
        assert_eq!(told(&seats), ["decode-1 Serving", "7 Serving"]);
        assert_eq!(seats.topology().called["8"], "decode-1");
        seats.all[0].life = Life::Asked;
        seats.see(&[instance(7, Role::Decode)]);
        assert_eq!(told(&seats), ["decode-1 Stopping", "7 Serving"], "it still ends what it holds");
        seats.all[0].life = Life::Ended;
        seats.see(&[instance(7, Role::Decode)]);
        assert_eq!(told(&seats), ["7 Serving"]);
        assert_eq!((seats.foreign(Role::Decode), seats.foreign(Role::Prefill)), (1, 0));
    }

    #[test]
    fn two_that_were_mistaken_for_each_other_change_seats_when_one_ends() {
        let mut seats = Seats::default();
        seats.take(1, Role::Decode);
        seats.take(2, Role::Decode);
        // The second was quicker.
        seats.see(&[instance(20, Role::Decode)]);
        seats.see(&[instance(10, Role::Decode), instance(20, Role::Decode)]);
        assert_eq!(seats.topology().called["20"], "decode-1");
        seats.all[1].life = Life::Asked;
        seats.see(&[instance(10, Role::Decode)]);
        assert_eq!(told(&seats), ["decode-1 Stopping", "decode-2 Serving"]);
        let called = seats.topology().called;
        assert_eq!((called["10"].as_str(), called["20"].as_str()), ("decode-2", "decode-1"), "as before");
        assert_eq!(seats.up(Role::Decode).map(|seat| seat.n).collect::<Vec<_>>(), [1], "the process that is left");
    }

    #[test]
    fn what_was_killed_counts_until_its_registration_has_expired() {
        let mut seats = Seats::default();
        seats.take(1, Role::Prefill);
        seats.see(&[instance(5, Role::Prefill)]);
        seats.all[0].life = Life::Ended;
        seats.see(&[instance(5, Role::Prefill)]);
        assert_eq!(told(&seats), ["prefill-1 Stopping"]);
        seats.see(&[]);
        assert_eq!(told(&seats), Vec::<String>::new());
    }
}
