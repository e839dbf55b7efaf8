//! Every invariant of the cluster, spelled out.

use super::Cluster;
use super::handoff::Flight;
use super::lockstep::due_at;
use super::plan::Detail;
use super::pool::Holding;
use super::sequence::{Membership, Place, Slot};
use super::unit::{Phase, Unit};

/// Fails with a description unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($description:tt)+) => {
        if !$condition {
            return Err(format!($($description)+));
        }
    };
}

impl Cluster {
    /// Checks every invariant: blocks have one owner each, counters agree with what they count, every request is in one place.
    /// Takes time in proportion to all blocks; meant for tests.
    ///
    /// # Errors
    /// Says which invariant is broken, and where.
    pub fn check(&self) -> Result<(), String> {
        for &slot in &self.sequences.by_age() {
            self.check_sequence(slot)?;
        }
        for unit in &self.units {
            self.check_unit(unit).map_err(|broken| format!("{}: {broken}", unit.id))?;
        }
        let listed = self.units.iter().map(|unit| unit.waiting.len() + unit.running.len()).sum::<usize>();
        let flying = self.flights.values().filter(|flight| flight.slot.is_some()).count();
        let everywhere = listed + flying + self.handoffs.len() + self.parked.len();
        ensure!(everywhere == self.in_flight(), "{everywhere} places for {} requests", self.in_flight());
        if self.units.iter().any(|unit| unit.phase == Phase::Failed) {
            return Ok(());
        }
        ensure!(self.units.iter().any(Unit::can_prefill), "nobody can prefill");
        ensure!(self.units.iter().any(Unit::can_decode), "nobody can decode");
        Ok(())
    }

    fn check_sequence(&self, slot: Slot) -> Result<(), String> {
        let sequence = &self.sequences[slot];
        let (request, place) = (sequence.request, sequence.place);
        let unit = &self.units[sequence.unit.index()];
        let here = match place {
            Place::Parked => self.parked.iter().any(|other| other == slot),
            Place::Waiting => unit.waiting.iter().any(|other| other == slot),
            Place::Prompt | Place::Decoding => unit.running.contains(&slot),
            Place::HandingOff => self.handoffs.iter().any(|other| other == slot),
            Place::Moving(id) => self.flights.get(id).is_some_and(|flight| flight.slot == Some(slot)),
        };
        ensure!(here, "{request:?} is not where it says, {place:?}");
        let (computed, known) = (sequence.computed, sequence.known);
        let positions_fit = match place {
            Place::Parked | Place::Waiting => computed == 0 && sequence.holding.blocks() == 0,
            Place::Prompt => computed < known && sequence.holding.blocks() == self.config.blocks_for(known),
            // A step takes the block of the position that it computes when it starts.
            Place::Decoding => {
                let blocks = sequence.holding.blocks();
                let needed = self.config.blocks_for(computed);
                computed + 1 == known && blocks >= needed && blocks <= self.config.blocks_for(known)
            }
            Place::HandingOff => computed + 1 == known && sequence.holding.blocks() >= self.config.blocks_for(computed),
            Place::Moving(_) => computed + 1 == known && sequence.holding.blocks() == 0,
        };
        ensure!(positions_fit, "{request:?} in {place:?}: {computed} computed of {known}, {:?}", sequence.holding);
        ensure!(sequence.generated() < sequence.limit, "{request:?} goes on after its last token");
        let withheld = sequence.generated() - sequence.emitted;
        // One while it is handed off, and another each time it was computed anew before it got there.
        let is_told = self.detail != Detail::Shapes;
        ensure!(!is_told || withheld <= 1 + sequence.preemptions, "{request:?} keeps {withheld} tokens back");
        Ok(())
    }

    fn check_unit(&self, unit: &Unit) -> Result<(), String> {
        let ages = |slots: Vec<Slot>| slots.iter().map(|&slot| self.sequences[slot].age).collect::<Vec<_>>();
        ensure!(ages(unit.running.clone()).is_sorted(), "the batch is not in order of age");
        ensure!(ages(unit.waiting.iter().collect()).is_sorted(), "the queue is not in order of age");
        let here = |flight: &&Flight| flight.to == unit.id && flight.destination.is_some();
        let incoming = self.flights.values().filter(here).count();
        ensure!(incoming as u32 == unit.incoming, "{incoming} incoming transfers, counted {}", unit.incoming);
        let leaving = self.flights.values().filter(|f| f.from == unit.id && f.source.is_some()).count();
        let waiting = self.handoffs.iter().filter(|&slot| self.sequences[slot].unit == unit.id).count();
        let handing_off = (leaving + waiting) as u32;
        ensure!(handing_off == unit.handing_off, "{handing_off} leave, counted {}", unit.handing_off);
        let slots = || unit.running.iter().copied().chain(unit.waiting.iter());
        let ahead: u64 = unit.running.iter().map(|&slot| u64::from(self.beats_of(unit, slot).unwrap_or(0))).sum();
        let outstanding = slots().map(|slot| u64::from(self.sequences[slot].owed)).sum::<u64>() - ahead;
        ensure!(outstanding == unit.outstanding, "{outstanding} tokens outstanding, counted {}", unit.outstanding);
        for entry in &unit.step.entries {
            let planned = entry.slot.is_none_or(|slot| self.sequences[slot].in_step && unit.running.contains(&slot));
            ensure!(planned, "the step computes a sequence that is not in the batch");
        }
        let planned = unit.step.entries.iter().filter(|entry| entry.slot.is_some()).count();
        let in_step = unit.running.iter().filter(|&&slot| self.sequences[slot].in_step).count();
        ensure!(planned == in_step, "{in_step} sequences think to be in a step of {planned}");
        self.check_lockstep(unit)?;
        let down = unit.restarts() && matches!(unit.phase, Phase::Switching | Phase::Warming);
        let kept = unit.held() + unit.pool.held() + unit.pool.cached();
        ensure!(!down || (kept == 0 && !unit.step.running), "its process has ended, and it keeps {kept} of something");
        ensure!(unit.condemned.is_empty() || unit.step.running, "blocks are condemned without a step");
        unit.pool.check(self.holdings(unit))
    }

    /// How many beats ago the figures of a member were right.
    fn beats_of(&self, unit: &Unit, slot: Slot) -> Option<u32> {
        match self.sequences[slot].membership {
            Membership::Member(since) => Some((unit.lockstep.beat - since) as u32),
            Membership::None | Membership::Recruit => None,
        }
    }

    /// Members are where the count has them, and what it has promised is what they have grown into.
    fn check_lockstep(&self, unit: &Unit) -> Result<(), String> {
        let (lockstep, size) = (&unit.lockstep, self.config.block_tokens);
        let (mut members, mut context, mut promised, mut awaited) = (0, 0, 0, 0);
        for &slot in &unit.running {
            let sequence = &self.sequences[slot];
            let Some(ahead) = self.beats_of(unit, slot) else {
                let recruited = lockstep.recruits.contains(&slot);
                ensure!(recruited == (sequence.membership == Membership::Recruit), "a recruit is not listed");
                ensure!(recruited || !lockstep.is_on(), "{:?} is not counted", sequence.request);
                continue;
            };
            let computed = sequence.computed + ahead;
            members += 1;
            context += u64::from(computed) + 1;
            let blocks = self.config.blocks_for(computed + u32::from(unit.step.running));
            promised += blocks.saturating_sub(sequence.holding.blocks());
            let due = due_at(lockstep.beat, computed, size);
            ensure!(lockstep.due[due].contains(&slot), "{:?} is not due when it is", sequence.request);
            let end = lockstep.beat + u64::from(sequence.remaining() - ahead);
            ensure!(
                lockstep.ends.iter().any(|at| at.0 == (end, sequence.age, slot)),
                "{:?} has no end",
                sequence.request
            );
            if let Some(name) = self.next_name(slot) {
                awaited += 1;
                ensure!(lockstep.awaited.get(&name) == Some(&slot), "{:?} is not awaited", sequence.request);
            }
        }
        let counted = (lockstep.members, lockstep.context, unit.pool.promised());
        ensure!((members, context, promised) == counted, "{members}, {context}, {promised} counted as {counted:?}");
        ensure!(lockstep.awaited.len() == awaited, "somebody is awaited whose next block is not published");
        ensure!(lockstep.ends.len() == members as usize, "somebody has more than one end");
        Ok(())
    }

    /// Everything that holds blocks of a unit.
    fn holdings<'a>(&'a self, unit: &'a Unit) -> impl Iterator<Item = &'a Holding> {
        let batch = unit.running.iter().map(|&slot| &self.sequences[slot].holding);
        let id = unit.id;
        let handoffs = self.handoffs.iter().map(|slot| &self.sequences[slot]);
        let handoffs = handoffs.filter(move |sequence| sequence.unit == id).map(|sequence| &sequence.holding);
        let leaving = self.flights.values().filter(move |flight| flight.from == id).filter_map(|f| f.source.as_ref());
        let coming = self.flights.values().filter(move |flight| flight.to == id).filter_map(|f| f.destination.as_ref());
        batch.chain(handoffs).chain(leaving).chain(coming).chain(&unit.condemned)
    }
}
