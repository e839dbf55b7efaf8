//! Units change their role while the cluster serves.
//!
//! A unit goes through `Serving → Draining → Switching → Warming → Serving`. On the way it goes on serving what its old and
//! its new role share: prefill on the way between P and A, decode between D and A, nothing between P and D. So every shift
//! between two splits that can be served has all its units under way at once and always leaves somebody who can prefill
//! and somebody who can decode.
//!
//! A unit that restarts serves nothing on the way, and its process ends with everything that it has cached. So of these
//! only as many are under way at once as leave somebody who can prefill and somebody who can decode; the others serve their
//! old role until it is their turn.

use std::collections::VecDeque;

use super::Cluster;
use super::event::{How, Notice, Outbox, RoleCommand, ShiftId, ShiftRefused, ShiftReport};
use super::pool::Pool;
use super::rolling::{self, Turn};
use super::sequence::{Place, Slot};
use super::unit::{Phase, Target, Unit};
use crate::units::{Nanos, Role, Split, UnitId};

/// The shift under way.
#[derive(Clone, Debug)]
pub(crate) struct ShiftRun {
    report: ShiftReport,
    /// Units still on their way.
    moving: Vec<UnitId>,
    /// Those whose turn has not come, in its order.
    waiting: VecDeque<Turn>,
}

impl Cluster {
    /// Asks for another split. As few units as possible move, of a role those with the least left to do.
    ///
    /// # Errors
    /// When another shift is under way, `to` does not fit the units that there are, or they cannot restart without leaving
    /// nobody meanwhile; nothing has changed then.
    pub fn shift(&mut self, now: Nanos, to: Split, how: How, out: &mut Outbox) -> Result<ShiftId, ShiftRefused> {
        let turns = self.check_shift(to, how)?;
        let id = self.number_shift();
        self.start_shift(now, (id, to, how), turns, out);
        Ok(id)
    }

    /// As [`Cluster::shift`], for a shift that has had its number since it began to wait.
    ///
    /// # Errors
    /// As [`Cluster::shift`]; the number may be tried again or forgotten.
    pub fn shift_numbered(
        &mut self,
        now: Nanos,
        id: ShiftId,
        to: Split,
        how: How,
        out: &mut Outbox,
    ) -> Result<(), ShiftRefused> {
        let turns = self.check_shift(to, how)?;
        self.start_shift(now, (id, to, how), turns, out);
        Ok(())
    }

    /// The number for a shift that the caller lets wait for the one under way.
    pub fn number_shift(&mut self) -> ShiftId {
        let id = ShiftId(self.next_shift);
        self.next_shift += 1;
        id
    }

    /// The shift under way.
    pub fn shift_under_way(&self) -> Option<(ShiftId, Split, How)> {
        self.shift.as_ref().map(|run| (run.report.id, run.report.to, run.report.how))
    }

    /// Whether units could move to `to` now; returns which would, in the order of their turns.
    fn check_shift(&self, to: Split, how: How) -> Result<Vec<Turn>, ShiftRefused> {
        if let Some(run) = &self.shift {
            return Err(ShiftRefused::Busy { id: run.report.id, to: run.report.to });
        }
        let from = self.split();
        if to.units() != from.units() {
            return Err(ShiftRefused::WrongUnits { asked: to, live: from.units() });
        }
        to.check()?;
        let moves = self.moves(from, to);
        if how != How::Restart {
            return Ok(moves);
        }
        rolling::order(from, &moves).map_err(|missing| ShiftRefused::NobodyMeanwhile { to, missing })
    }

    fn start_shift(&mut self, now: Nanos, (id, to, how): (ShiftId, Split, How), turns: Vec<Turn>, out: &mut Outbox) {
        self.tell_deferred(out);
        let (drain, total, abandoned) = (Nanos::ZERO, Nanos::ZERO, None);
        let from = self.split();
        let report = ShiftReport { id, from, to, how, accepted: now, drain, total, in_flight: 0, abandoned };
        self.shift = Some(ShiftRun { report, moving: Vec::new(), waiting: turns.into() });
        out.notices.push(Notice::ShiftStarted { id, to, how });
        self.begin_turns(now, out);
        self.settle(now, out);
        self.end_shift_if_over(now, out);
    }

    /// Units whose turn it is start to drain: all that are left, or, of those that restart, as many as leave somebody who can
    /// prefill and somebody who can decode.
    fn begin_turns(&mut self, now: Nanos, out: &mut Outbox) {
        let Some(mut run) = self.shift.take() else { return };
        let restarts = run.report.how == How::Restart;
        let mut begun = Vec::new();
        // All targets are known before the first queue is emptied, so that nothing is routed to a unit about to move.
        while let Some(turn) = run.waiting.pop_front_if(|turn| !restarts || self.can_spare(turn.unit)) {
            let here = &mut self.units[turn.unit.index()];
            here.target = Some(Target { role: turn.to, restarts });
            run.report.in_flight += here.held();
            run.moving.push(turn.unit);
            begun.push(turn.unit);
        }
        // The order keeps everybody served unless somebody is lost: then it may be that no turn ever comes.
        if run.moving.is_empty()
            && let Some(next) = run.waiting.front()
        {
            let why = format!("restarting {} would leave nobody who can do its work", next.unit);
            run.report.abandoned.get_or_insert(why);
            run.waiting.clear();
        }
        self.shift = Some(run);
        for &unit in &begun {
            self.enter(now, unit, Phase::Draining, out);
        }
        for &unit in &begun {
            self.empty_queue(unit, out);
        }
    }

    /// Whether the others can prefill and decode.
    fn can_spare(&self, unit: UnitId) -> bool {
        let others = || self.units.iter().filter(|other| other.id != unit);
        others().any(Unit::can_prefill) && others().any(Unit::can_decode)
    }

    /// The executor of `unit` has changed its role.
    pub fn role_switched(&mut self, now: Nanos, unit: UnitId, out: &mut Outbox) {
        if self.units.get(unit.index()).is_none_or(|here| here.phase != Phase::Switching) {
            return;
        }
        self.tell_deferred(out);
        self.enter(now, unit, Phase::Warming, out);
        out.roles.push(RoleCommand::Warm { unit });
        self.settle(now, out);
    }

    /// The executor of `unit` is ready in its new role.
    pub fn role_warmed(&mut self, now: Nanos, unit: UnitId, out: &mut Outbox) {
        if self.units.get(unit.index()).is_none_or(|here| here.phase != Phase::Warming) {
            return;
        }
        self.tell_deferred(out);
        let here = &mut self.units[unit.index()];
        here.role = here.role_to_be();
        here.target = None;
        self.arrived_in_role(now, unit, out);
    }

    /// When `deadline` has to be called at the latest, if nothing else happens.
    pub fn next_deadline(&self) -> Option<Nanos> {
        let timeout = self.config.drain_timeout?;
        let run = self.shift.as_ref().filter(|run| run.report.how != How::Migrate)?;
        let units = run.moving.iter().map(|unit| &self.units[unit.index()]);
        units.filter(|unit| unit.phase == Phase::Draining).map(|unit| unit.since + timeout).min()
    }

    /// Units whose drain takes too long serve their old role again.
    pub fn deadline(&mut self, now: Nanos, out: &mut Outbox) {
        if self.next_deadline().is_none_or(|due| due > now) {
            return;
        }
        self.tell_deferred(out);
        self.abandon_drains(now, |unit, held| format!("{unit} still held {held} sequences at the drain timeout"), out);
        self.end_the_hopeless(out);
        self.settle(now, out);
    }

    /// Lets every unit that still drains serve its old role again, and those whose turn has not come stay in it.
    pub(super) fn abandon_drains(&mut self, now: Nanos, why: impl Fn(UnitId, u32) -> String, out: &mut Outbox) {
        let Some(run) = &mut self.shift else { return };
        run.waiting.clear();
        for unit in run.moving.clone() {
            let here = &mut self.units[unit.index()];
            if here.phase != Phase::Draining {
                continue;
            }
            here.target = None;
            let (held, drain) = (here.held(), now.since(here.since));
            if let Some(run) = &mut self.shift {
                run.report.drain = run.report.drain.max(drain);
                run.report.abandoned.get_or_insert_with(|| why(unit, held));
            }
            self.arrived_in_role(now, unit, out);
        }
    }

    /// Gives up on the part of a shift that a lost unit had.
    pub(super) fn drop_from_shift(&mut self, now: Nanos, unit: UnitId, out: &mut Outbox) {
        let Some(run) = &mut self.shift else { return };
        let units = run.moving.len() + run.waiting.len();
        run.moving.retain(|&moving| moving != unit);
        run.waiting.retain(|turn| turn.unit != unit);
        if run.moving.len() + run.waiting.len() < units {
            run.report.abandoned.get_or_insert_with(|| format!("{unit} failed"));
        }
        self.begin_turns(now, out);
        self.end_shift_if_over(now, out);
    }

    /// Whether a unit on its way to another role is not empty enough yet.
    pub(super) fn is_emptying(&self) -> bool {
        let drains = |unit: &UnitId| self.units[unit.index()].phase == Phase::Draining;
        self.shift.as_ref().is_some_and(|run| run.moving.iter().any(drains))
    }

    /// Whether decoding sequences of `unit` are to be moved to peers.
    pub(super) fn is_migrating(&self, unit: UnitId) -> bool {
        let here = &self.units[unit.index()];
        here.phase == Phase::Draining
            && !here.can_decode()
            && self.shift.as_ref().is_some_and(|run| run.report.how == How::Migrate)
    }

    /// Units that are empty enough start to switch, or end their process.
    pub(super) fn proceed_with_drains(&mut self, now: Nanos, out: &mut Outbox) {
        let Some(run) = &self.shift else { return };
        for at in (0..run.moving.len()).rev() {
            let Some(&unit) = self.shift.as_ref().and_then(|run| run.moving.get(at)) else { continue };
            let here = &self.units[unit.index()];
            if here.phase != Phase::Draining || !self.is_drained(here) {
                continue;
            }
            let (drain, to, restarts) = (now.since(here.since), here.role_to_be(), here.restarts());
            if let Some(run) = &mut self.shift {
                run.report.drain = run.report.drain.max(drain);
            }
            self.enter(now, unit, Phase::Switching, out);
            if restarts {
                self.forget_cached(unit);
                out.roles.push(RoleCommand::Restart { unit, to });
            } else {
                out.roles.push(RoleCommand::Switch { unit, to });
            }
        }
    }

    /// The process of `unit`, which holds nothing, ends, and with it what its prefix cache kept.
    fn forget_cached(&mut self, unit: UnitId) {
        self.dissolve(unit);
        self.units[unit.index()].pool = Pool::new(self.config.blocks_per_unit, self.config.prefix_cache, self.detail);
    }

    /// Where nobody decodes, a sequence that waits for a hand-off at a unit that is to become the one who does would wait for
    /// itself. It is computed anew elsewhere.
    pub(super) fn untangle(&mut self, out: &mut Outbox) {
        if self.shift.is_none() || self.units.iter().any(Unit::can_decode) {
            return;
        }
        let is_leaving = |unit: &Unit| unit.phase == Phase::Draining && !unit.can_prefill();
        let stuck = self.handoffs.iter().filter(|&slot| is_leaving(&self.units[self.sequences[slot].unit.index()]));
        for slot in stuck.collect::<Vec<Slot>>() {
            self.detach(slot, out);
            let sequence = &mut self.sequences[slot];
            (sequence.computed, sequence.preemptions) = (0, sequence.preemptions + 1);
            self.route(slot, out);
        }
    }

    /// A unit that shares nothing with its new role must hold no block at all, not even for a transfer that nobody wants.
    fn is_drained(&self, unit: &Unit) -> bool {
        let shares = unit.can_prefill() || unit.can_decode();
        self.left(unit) == 0 && (shares || (unit.pool.held() == 0 && !unit.step.running))
    }

    /// A unit serves again, be it in its new role or in its old one.
    fn arrived_in_role(&mut self, now: Nanos, unit: UnitId, out: &mut Outbox) {
        self.enter(now, unit, Phase::Serving, out);
        if let Some(run) = &mut self.shift {
            run.moving.retain(|&moving| moving != unit);
        }
        if self.units[unit.index()].can_prefill() {
            while let Some(slot) = self.parked.pop() {
                self.route(slot, out);
            }
        }
        if self.units[unit.index()].can_decode() {
            self.adopt_handoffs(unit, out);
        }
        self.stir(unit, out);
        self.begin_turns(now, out);
        self.settle(now, out);
        self.end_shift_if_over(now, out);
    }

    fn end_shift_if_over(&mut self, now: Nanos, out: &mut Outbox) {
        if let Some(mut run) = self.shift.take_if(|run| run.moving.is_empty() && run.waiting.is_empty()) {
            run.report.total = now.since(run.report.accepted);
            out.notices.push(Notice::ShiftEnded(run.report));
        }
    }

    pub(super) fn enter(&mut self, now: Nanos, unit: UnitId, phase: Phase, out: &mut Outbox) {
        let here = &mut self.units[unit.index()];
        (here.phase, here.since) = (phase, now);
        let here = &self.units[unit.index()];
        let state = here.state(self.left(here));
        out.notices.push(Notice::Unit { unit, role: here.role, state, held: here.held() });
    }

    /// Routes the requests of a unit that computes no new prompts any more to those that do.
    fn empty_queue(&mut self, unit: UnitId, out: &mut Outbox) {
        if self.units[unit.index()].can_prefill() {
            return;
        }
        let waiting: Vec<Slot> = self.units[unit.index()].waiting.iter().collect();
        for slot in waiting {
            let sequence = &mut self.sequences[slot];
            debug_assert_eq!(sequence.place, Place::Waiting);
            let here = &mut self.units[unit.index()];
            here.outstanding -= u64::from(std::mem::take(&mut sequence.owed));
            here.waiting.remove(slot);
            self.route(slot, out);
        }
    }

    /// Which units move, and to which role: surplus roles give, in the order of the role, those with the least left to do.
    fn moves(&self, from: Split, to: Split) -> Vec<Turn> {
        let roles = [Role::Prefill, Role::Decode, Role::Aggregated];
        let mut wanted = roles
            .into_iter()
            .flat_map(|role| std::iter::repeat_n(role, usize::from(to.count(role).saturating_sub(from.count(role)))));
        let mut moves = Vec::new();
        for role in roles {
            let mut givers: Vec<&Unit> =
                self.units.iter().filter(|unit| unit.phase == Phase::Serving && unit.role == role).collect();
            givers.sort_by_key(|unit| (unit.outstanding, unit.held(), unit.id));
            let surplus = usize::from(from.count(role).saturating_sub(to.count(role)));
            let leaving = givers.iter().take(surplus).map(|unit| unit.id).zip(&mut wanted);
            moves.extend(leaving.map(|(unit, to)| Turn { unit, from: role, to }));
        }
        moves
    }
}
