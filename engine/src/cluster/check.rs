//! Every invariant of the cluster, spelled out.

use super::Cluster;
use super::handoff::Flight;
use super::pool::Holding;
use super::sequence::{Place, Slot};
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
            Place::Moving(id) => self.flights.get(&id).is_some_and(|flight| flight.slot == Some(slot)),
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
        ensure!(withheld <= 1 + sequence.preemptions, "{request:?} keeps {withheld} tokens back");
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
        let outstanding: u64 = slots().map(|slot| u64::from(self.sequences[slot].owed)).sum();
        ensure!(outstanding == unit.outstanding, "{outstanding} tokens outstanding, counted {}", unit.outstanding);
        for entry in &unit.step.entries {
            let planned = entry.slot.is_none_or(|slot| self.sequences[slot].in_step && unit.running.contains(&slot));
            ensure!(planned, "the step computes a sequence that is not in the batch");
        }
        let planned = unit.step.entries.iter().filter(|entry| entry.slot.is_some()).count();
        let in_step = unit.running.iter().filter(|&&slot| self.sequences[slot].in_step).count();
        ensure!(planned == in_step, "{in_step} sequences think to be in a step of {planned}");
        ensure!(unit.condemned.is_empty() || unit.step.running, "blocks are condemned without a step");
        unit.pool.check(self.holdings(unit))
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
